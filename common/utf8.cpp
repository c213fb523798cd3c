#include "common/utf8.h"

#include <algorithm>
#include <cstdint>

namespace crossloom {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Lead {
  size_t length;        // of the whole character; 0: not a lead byte
  uint8_t second_low;   // smallest and largest second byte (RFC 3629: no overlong forms,
  uint8_t second_high;  // no surrogates, nothing above U+10FFFF)
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) {
    return {1, 0, 0};
  }
  if (byte >= 0xC2 && byte <= 0xDF) {
    return {2, 0x80, 0xBF};
  }
  if (byte >= 0xE0 && byte <= 0xEF) {
    return {3, uint8_t(byte == 0xE0 ? 0xA0 : 0x80), uint8_t(byte == 0xED ? 0x9F : 0xBF)};
  }
  if (byte >= 0xF0 && byte <= 0xF4) {
    return {4, uint8_t(byte == 0xF0 ? 0x90 : 0x80), uint8_t(byte == 0xF4 ? 0x8F : 0xBF)};
  }
  return {0, 0, 0};
}

/// Bytes at the front that belong together: the whole character when `complete`, else the longest
/// part that could have begun one (at least 1).
size_t front_part(std::string_view text, bool& complete) {
  const Lead lead = lead_of(static_cast<uint8_t>(text[0]));
  complete = lead.length == 1;
  if (lead.length <= 1) {
    return 1;
  }
  size_t good = 1;
  while (good < std::min(lead.length, text.size())) {
    const auto byte = static_cast<uint8_t>(text[good]);
    const uint8_t low = good == 1 ? lead.second_low : 0x80;
    const uint8_t high = good == 1 ? lead.second_high : 0xBF;
    if (byte < low || byte > high) {
      break;
    }
    ++good;
  }
  complete = good == lead.length;
  return good;
}

}  // namespace

size_t utf8_length(std::string_view text) {
  bool complete = false;
  const size_t length = text.empty() ? 0 : front_part(text, complete);
  return complete ? length : 0;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    bool complete = false;
    const size_t length = front_part(text, complete);
    out += complete ? text.substr(0, length) : kReplacement;
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace crossloom
