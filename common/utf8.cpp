#include "common/utf8.h"

#include <cstdint>

namespace crossloom {
namespace {

struct Lead {
  size_t size_bytes;     // of the whole character; 0: not a lead byte
  uint8_t second_first;  // the range of the second byte, which excludes overlong forms,
  uint8_t second_last;   // surrogates and what lies beyond U+10FFFF
};

Lead lead_of(uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) {
    return {2, 0x80, 0xBF};
  }
  if (byte >= 0xE0 && byte <= 0xEF) {
    return {3, static_cast<uint8_t>(byte == 0xE0 ? 0xA0 : 0x80),
            static_cast<uint8_t>(byte == 0xED ? 0x9F : 0xBF)};
  }
  if (byte >= 0xF0 && byte <= 0xF4) {
    return {4, static_cast<uint8_t>(byte == 0xF0 ? 0x90 : 0x80),
            static_cast<uint8_t>(byte == 0xF4 ? 0x8F : 0xBF)};
  }
  return {0, 0, 0};
}

}  // namespace

Utf8Step utf8_step(std::string_view text, size_t offset) {
  const auto first = static_cast<uint8_t>(text[offset]);
  if (first < 0x80) {
    return {first, 1, true};
  }
  const Lead lead = lead_of(first);
  if (lead.size_bytes == 0) {
    return {kReplacement, 1, false};
  }
  char32_t code_point = first & (0x7FU >> lead.size_bytes);
  for (size_t i = 1; i < lead.size_bytes; ++i) {
    const uint8_t low = i == 1 ? lead.second_first : 0x80;
    const uint8_t high = i == 1 ? lead.second_last : 0xBF;
    const auto byte = offset + i < text.size() ? static_cast<uint8_t>(text[offset + i]) : uint8_t{};
    if (byte < low || byte > high) {
      return {kReplacement, i, false};
    }
    code_point = (code_point << 6) | (byte & 0x3FU);
  }
  return {code_point, lead.size_bytes, true};
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto put = [&text](char32_t byte) { text += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3F));
    put(0x80 | ((code_point >> 6) & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (!step.valid) {
      return false;
    }
    at += step.size_bytes;
  }
  return true;
}

std::string repair_utf8(std::string_view text) {
  std::string repaired;
  repaired.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (step.valid) {
      repaired.append(text.substr(at, step.size_bytes));
    } else {
      append_utf8(repaired, kReplacement);
    }
    at += step.size_bytes;
  }
  return repaired;
}

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace crossloom
