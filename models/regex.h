// Unicode regular expressions (PCRE2) for pre-tokenizers: compiled once, matched against valid
// UTF-8.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace crossloom::models {

/// Bytes [begin, end) of a text.
struct Span {
  size_t begin = 0;
  size_t end = 0;
};

class Regex {
 public:
  /// Throws DataError naming `source` when the pattern does not compile.
  Regex(const std::string& pattern, const std::string& source);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// All matches of at least one byte, left to right, not overlapping. `text` must be valid UTF-8.
  /// Throws DataError when matching exceeds PCRE2's limits.
  std::vector<Span> find_all(std::string_view text) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace crossloom::models
