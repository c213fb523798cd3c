// UTF-8 as the reference reads it: every maximal invalid part of a character becomes one U+FFFD
// (the Unicode standard's practice; what CPython's errors="replace" and Rust's from_utf8_lossy do).
#pragma once

#include <string>
#include <string_view>

namespace crossloom {

/// Length in bytes of the valid character at the front of `text`, or 0 when it is invalid.
size_t utf8_length(std::string_view text);

/// `text` with invalid parts replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

}  // namespace crossloom
