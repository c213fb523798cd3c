#include "models/byte_level.h"

#include <array>
#include <unordered_map>

namespace crossloom::models {
namespace {

bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

std::string utf8_of(int code_point) {  // below U+0800 here
  if (code_point < 0x80) {
    return {static_cast<char>(code_point)};
  }
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

struct Alphabet {
  std::array<std::string, 256> symbol;
  std::unordered_map<std::string, uint8_t> byte;

  Alphabet() {
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      symbol[static_cast<size_t>(b)] = utf8_of(stands_for_itself(b) ? b : next++);
      byte[symbol[static_cast<size_t>(b)]] = static_cast<uint8_t>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::string& byte_symbol(uint8_t byte) {
  return alphabet().symbol[byte];
}

std::optional<std::string> bytes_of_symbols(std::string_view token) {
  std::string bytes;
  for (size_t i = 0; i < token.size();) {
    const size_t length = static_cast<unsigned char>(token[i]) < 0x80 ? 1 : 2;
    const auto found = alphabet().byte.find(std::string(token.substr(i, length)));
    if (found == alphabet().byte.end()) {
      return std::nullopt;
    }
    bytes += static_cast<char>(found->second);
    i += length;
  }
  return bytes;
}

}  // namespace crossloom::models
