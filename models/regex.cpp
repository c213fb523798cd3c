#include "models/regex.h"

#include <pcre2.h>

#include "common/error.h"
#include "common/handle.h"

namespace crossloom::models {
namespace {

constexpr uint32_t kMatchLimit_steps = 10'000'000;   // per match and starting point
constexpr uint32_t kHeapLimit_kib = 256 * 1024;      // of the interpreter, when there is no JIT
constexpr PCRE2_SIZE kPatternLimit_bytes = 1 << 16;  // translated

struct FreeCode {
  void operator()(pcre2_code* code) const noexcept { pcre2_code_free(code); }
};
struct FreeCompileContext {
  void operator()(pcre2_compile_context* context) const noexcept {
    pcre2_compile_context_free(context);
  }
};
struct FreeMatchContext {
  void operator()(pcre2_match_context* context) const noexcept {
    pcre2_match_context_free(context);
  }
};
struct FreeMatchData {
  void operator()(pcre2_match_data* data) const noexcept { pcre2_match_data_free(data); }
};

std::string pcre2_text(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

size_t next_character(std::string_view text, size_t at) {
  do {
    ++at;
  } while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace

struct Regex::Compiled {
  UniqueHandle<pcre2_code*, FreeCode> code;
  UniqueHandle<pcre2_match_context*, FreeMatchContext> limits;
  std::string source;

  /// True when there is a match at or after `start`; its span is then in `data`.
  bool search(std::string_view text, size_t start, pcre2_match_data* data) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int found = pcre2_match(code.get(), subject, text.size(), start, PCRE2_NO_UTF_CHECK, data,
                            limits.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter works on the heap
      found = pcre2_match(code.get(), subject, text.size(), start,
                          PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, limits.get());
    }
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
      throw DataError({.what = "A tokenizer pattern gave up on a text",
                       .expected = "a match within the limits",
                       .got = pcre2_text(found),
                       .where = fmt::format("{}, byte {} of the text", source, start),
                       .hint = "Split the text into smaller documents."});
    }
    return found >= 0;
  }
};

Regex::Regex(const std::string& pattern, Syntax syntax, const std::string& source) {
  const UniqueHandle<pcre2_compile_context*, FreeCompileContext> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_max_pattern_length(context.get(), kPatternLimit_bytes);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  const uint32_t options = syntax == Syntax::kLiteral
                               ? PCRE2_UTF | PCRE2_LITERAL
                               : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  auto made = std::make_unique<Compiled>();
  made->source = source;
  int code = 0;
  PCRE2_SIZE offset = 0;
  made->code = UniqueHandle<pcre2_code*, FreeCode>(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &code,
                    &offset, context.get()));
  if (!made->code) {
    throw DataError(
        {.what = "A tokenizer pattern is not a valid regular expression",
         .expected = "a pattern that PCRE2 compiles",
         .got = fmt::format("{} (byte {} of the translated pattern)", pcre2_text(code), offset),
         .where = source,
         .hint = "The file may be damaged: fetch it again."});
  }
  // Where there is no JIT the call fails and pcre2_match interprets.
  pcre2_jit_compile(made->code.get(), PCRE2_JIT_COMPLETE);
  made->limits =
      UniqueHandle<pcre2_match_context*, FreeMatchContext>(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(made->limits.get(), kMatchLimit_steps);
  pcre2_set_heap_limit(made->limits.get(), kHeapLimit_kib);
  compiled_ = std::move(made);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::vector<Span> Regex::find_all(std::string_view text) const {
  const UniqueHandle<pcre2_match_data*, FreeMatchData> data(pcre2_match_data_create(1, nullptr));
  CROSSLOOM_CHECK(bool(data), "no memory for match data");
  std::vector<Span> matches;
  size_t start = 0;
  while (start <= text.size() && compiled_->search(text, start, data.get())) {
    const PCRE2_SIZE* pair = pcre2_get_ovector_pointer(data.get());
    const Span span{pair[0], pair[1]};
    const bool again = span.begin == span.end && !matches.empty() && matches.back().end == span.end;
    if (again) {
      start = next_character(text, start);
    } else {
      matches.push_back(span);
      start = span.end;
    }
  }
  return matches;
}

}  // namespace crossloom::models
