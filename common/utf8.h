// UTF-8, checked and repaired. Repair follows Unicode's "maximal subpart" practice (chapter 3,
// table 3-8): each longest invalid beginning becomes one U+FFFD, as in Python's
// bytes.decode(errors="replace") and Rust's String::from_utf8_lossy.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace crossloom {

inline constexpr char32_t kReplacement = 0xFFFD;

struct Utf8Step {
  char32_t code_point;  // kReplacement when the bytes are invalid
  size_t size_bytes;    // how many bytes it takes, ≥ 1
  bool valid;
};

/// The character that begins at `text[offset]`; requires offset < text.size().
Utf8Step utf8_step(std::string_view text, size_t offset);

/// Appends a code point below 0x110000.
void append_utf8(std::string& text, char32_t code_point);

bool is_valid_utf8(std::string_view text);

/// The text with every invalid subsequence replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

/// Unicode's White_Space property.
bool is_white_space(char32_t code_point);

}  // namespace crossloom
