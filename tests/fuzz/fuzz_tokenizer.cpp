// Two uses of one input. Up to the first zero byte it is a tokenizer.json (a DataError, or a
// tokenizer that encodes the rest); and all of it is text for a good tokenizer that has a token
// for every byte, whose decode must give the text back.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/error.h"
#include "common/json_file.h"
#include "common/utf8.h"
#include "models/tokenizer.h"

namespace {

using crossloom::models::Tokenizer;

// Patterns of strangers may be slow by design; PCRE2's limits bound them per starting point.
constexpr size_t kTextLimit_bytes = 64;

Tokenizer good_tokenizer() {
  const std::string path = CROSSLOOM_TEST_FOLDER "/golden/tokenizer/small_split.json";
  crossloom::Json frame = crossloom::read_json_file(path, 1 << 20);
  frame["added_tokens"] = crossloom::Json::array();  // some swallow white space
  return Tokenizer(frame.dump(), path);
}

void check_ids(const Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text);
  for (const auto id : ids) {
    if (id < 0 || id >= tokenizer.vocabulary_size()) {
      std::abort();
    }
  }
  tokenizer.decode(ids);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer good = good_tokenizer();
  const std::string input(reinterpret_cast<const char*>(data), size);
  if (good.decode(good.encode(input)) != crossloom::repair_utf8(input)) {
    std::abort();
  }
  const size_t zero = input.find('\0');
  try {
    const Tokenizer tokenizer(input.substr(0, zero), "fuzzed");
    const std::string text =
        zero == std::string::npos ? " the they 12é\n\n😀<s> \xFF" : input.substr(zero + 1);
    check_ids(tokenizer, text.substr(0, kTextLimit_bytes));
  } catch (const crossloom::DataError&) {
    return 0;
  }
  return 0;
}
