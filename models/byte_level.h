// GPT-2's byte alphabet: every byte as one printable character, so that vocabularies hold text.
// Printable Latin-1 bytes stand for themselves; the other 68 become U+0100, U+0101, … in byte
// order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace crossloom::models {

/// The UTF-8 of the character that stands for `byte`.
const std::string& byte_symbol(uint8_t byte);

/// The bytes that a token's characters stand for; nullopt when one stands for no byte.
std::optional<std::string> bytes_of_symbols(std::string_view token);

}  // namespace crossloom::models
