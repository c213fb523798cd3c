#include "models/regex.h"

#include <pcre2.h>

#include <utility>

#include "common/error.h"

namespace crossloom::models {
namespace {

constexpr size_t kJitStackStart_bytes = size_t{32} << 10;
constexpr size_t kJitStackMost_bytes = size_t{16} << 20;
constexpr size_t kMostPatternBytes = size_t{1} << 16;

struct FreeCode {
  void operator()(pcre2_code* code) const noexcept { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* data) const noexcept { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const noexcept {
    pcre2_match_context_free(context);
  }
};
struct FreeStack {
  void operator()(pcre2_jit_stack* stack) const noexcept { pcre2_jit_stack_free(stack); }
};

/// \s and \S as Unicode's White_Space, which the reference's engines mean (PCRE2's own adds
/// U+180E).
std::string with_unicode_space(const std::string& pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    const char next = pattern[++i];
    if (next == 's' || next == 'S') {
      out += next == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
    } else {
      out += {'\\', next};
    }
  }
  return out;
}

std::string pcre2_text(int code) {
  unsigned char text[256] = {};
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, FreeCode> compiled;
  std::string source;
};

Regex::Regex(const std::string& pattern, const std::string& source)
    : code_(std::make_unique<Code>()) {
  const std::string text = with_unicode_space(pattern);
  int error = 0;
  size_t offset = 0;
  if (pattern.size() <= kMostPatternBytes) {
    code_->compiled.reset(pcre2_compile(bytes_of(text), text.size(), PCRE2_UTF | PCRE2_UCP, &error,
                                        &offset, nullptr));
  }
  code_->source = source;
  if (!code_->compiled) {
    throw DataError(
        {.what = "A pre-tokenizer's pattern cannot be used",
         .expected = "a regular expression",
         .got = pattern.size() <= kMostPatternBytes
                    ? fmt::format("{} at byte {} of {}", pcre2_text(error), offset, pattern)
                    : fmt::format("{} bytes", pattern.size()),
         .where = source,
         .hint = "Is tokenizer.json of a supported kind?"});
  }
  pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE);  // absent on some machines: slower
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::vector<Span> Regex::find_all(std::string_view text) const {
  const pcre2_code* code = code_->compiled.get();
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(
      pcre2_match_data_create_from_pattern(code, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeContext> context(
      pcre2_match_context_create(nullptr));
  const std::unique_ptr<pcre2_jit_stack, FreeStack> stack(
      pcre2_jit_stack_create(kJitStackStart_bytes, kJitStackMost_bytes, nullptr));
  pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  std::vector<Span> found;
  size_t at = 0;
  while (at < text.size()) {
    const int result = pcre2_match(code, bytes_of(text), text.size(), at,
                                   PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), context.get());
    if (result == PCRE2_ERROR_NOMATCH) {
      break;
    }
    if (result < 0) {
      throw DataError({.what = "A pre-tokenizer's pattern is too costly for this text",
                       .expected = "a match within PCRE2's limits",
                       .got = pcre2_text(result),
                       .where = code_->source,
                       .hint = "Split the text, or use another tokenizer."});
    }
    const size_t* bounds = pcre2_get_ovector_pointer(match.get());
    if (bounds[1] <= bounds[0]) {  // \K can turn a match round
      break;
    }
    found.push_back({bounds[0], bounds[1]});
    at = bounds[1];
  }
  return found;
}

}  // namespace crossloom::models
