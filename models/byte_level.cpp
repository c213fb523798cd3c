#include "models/byte_level.h"

#include <array>

#include "common/utf8.h"

namespace crossloom::models {
namespace {

constexpr size_t kSymbolLimit = 0x144;  // the largest symbol is U+0143

bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> symbols{};
  std::array<int16_t, kSymbolLimit> bytes{};  // -1: not a symbol

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      symbols[byte] = stands_for_itself(byte) ? byte : next++;
      bytes[symbols[byte]] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet table;
  return table;
}

}  // namespace

char32_t symbol_of_byte(uint8_t byte) {
  return alphabet().symbols[byte];
}

std::optional<uint8_t> byte_of_symbol(char32_t symbol) {
  if (symbol >= kSymbolLimit || alphabet().bytes[symbol] < 0) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(alphabet().bytes[symbol]);
}

std::string to_symbols(std::string_view bytes) {
  std::string symbols;
  symbols.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    append_utf8(symbols, symbol_of_byte(static_cast<uint8_t>(byte)));
  }
  return symbols;
}

std::string from_symbols(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const Utf8Step step = utf8_step(token, at);
    const auto byte = step.valid ? byte_of_symbol(step.code_point) : std::nullopt;
    if (!byte) {
      return std::string(token);
    }
    bytes += static_cast<char>(*byte);
    at += step.size_bytes;
  }
  return bytes;
}

}  // namespace crossloom::models
