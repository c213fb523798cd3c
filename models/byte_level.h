// GPT-2's byte alphabet: each of the 256 bytes is written as one printable character, so that
// vocabularies are plain text. Printable Latin-1 bytes stand for themselves; the other 68 become
// U+0100, U+0101, … in byte order (the space becomes 'Ġ', the newline 'Ċ').
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace crossloom::models {

/// The character that stands for a byte.
char32_t symbol_of_byte(uint8_t byte);

/// The byte a character stands for; none when it is not one of the 256.
std::optional<uint8_t> byte_of_symbol(char32_t symbol);

/// Bytes → symbols as UTF-8.
std::string to_symbols(std::string_view bytes);

/// Symbols → bytes. A token that holds any other character stands for its own UTF-8 bytes
/// instead (the reference's rule, which added tokens with spaces rely on).
std::string from_symbols(std::string_view token);

}  // namespace crossloom::models
