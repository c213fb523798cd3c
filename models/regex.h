// PCRE2 behind a small door: compile once, list all matches. Matching is bounded (PCRE2's match
// and heap limits), never recurses on our stack, and is thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace crossloom::models {

struct Span {
  size_t begin = 0;  // bytes
  size_t end = 0;
};

class Regex {
 public:
  enum class Syntax { kPcre2, kLiteral };

  /// `pattern` is UTF-8. Throws DataError with PCRE2's message; `source` is what errors call it.
  Regex(const std::string& pattern, Syntax syntax, const std::string& source);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// All matches, left to right, without overlap; an empty match right after a match is skipped,
  /// as in the reference's iterator. `text` must be valid UTF-8. Throws DataError when a limit is
  /// reached.
  std::vector<Span> find_all(std::string_view text) const;

 private:
  struct Compiled;
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace crossloom::models
