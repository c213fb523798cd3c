#include "eval/prompt_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "common/error.h"
#include "common/json_file.h"
#include "common/mapped_file.h"
#include "common/nearest.h"

namespace crossloom::eval {
namespace {

using models::TokenId;

constexpr size_t kFileLimit_bytes = size_t{64} << 20;
constexpr std::array kKeys = {"prompt",      "tokens",  "answer",  "answer_id",
                              "probability", "entropy", "document"};

double four_decimals(double value) {
  return std::round(value * 1e4) / 1e4;
}

void require_object(const Json& line, const std::string& source) {
  if (!line.is_object()) {
    throw DataError({.what = "A line is no prompt",
                     .expected = "one JSON object",
                     .got = line.type_name(),
                     .where = source,
                     .hint = "Each line is {\"prompt\": …, \"tokens\": […], …}."});
  }
}

void refuse_unknown_keys(const Json& object, const std::string& source) {
  const std::vector<std::string> known(kKeys.begin(), kKeys.end());
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw DataError({.what = fmt::format("A prompt has an unknown key '{}'", key),
                       .expected = fmt::format("{}", fmt::join(known, ", ")),
                       .got = key,
                       .where = source,
                       .hint = fmt::format("Did you mean '{}'?", nearest_name(key, known))});
    }
  }
}

std::vector<TokenId> read_tokens(const Json& object, const std::string& source) {
  const Json& list = json_part(object, "tokens");
  constexpr uint64_t kLargest = std::numeric_limits<TokenId>::max();
  const bool fits =
      list.is_array() && !list.empty() && std::all_of(list.begin(), list.end(), [](const Json& id) {
        return id.is_number_unsigned() && id.get<uint64_t>() <= kLargest;
      });
  if (!fits) {
    fail_json_field("tokens", "a list of token ids, each 0 … 2³¹−1, not empty",
                    list.is_null() ? "nothing" : list.dump(-1, ' ', true), source);
  }
  return list.get<std::vector<TokenId>>();
}

Prompt read_prompt(const std::string& line, const std::string& source) {
  const Json object = parse_json(line, source);
  require_object(object, source);
  refuse_unknown_keys(object, source);
  Prompt prompt{.text = json_field<std::string>(object, "prompt", source),
                .tokens = read_tokens(object, source),
                .answer = json_field<std::string>(object, "answer", source),
                .answer_id = json_field<TokenId>(object, "answer_id", source),
                .probability = json_field<double>(object, "probability", source),
                .entropy = json_field<double>(object, "entropy", source),
                .document = json_field<std::string>(object, "document", source)};
  const auto require = [&](bool holds, const char* key, const char* expected) {
    if (!holds) {
      fail_json_field(key, expected, object[key].dump(-1, ' ', true), source);
    }
  };
  require(!prompt.text.empty(), "prompt", "text that is not empty");
  require(!prompt.answer.empty(), "answer", "text that is not empty");
  require(prompt.answer_id >= 0, "answer_id", "a token id, 0 or more");
  require(prompt.probability > 0.0 && prompt.probability <= 1.0, "probability",
          "a number above 0, at most 1");
  require(prompt.entropy >= 0.0, "entropy", "a number of nats, 0 or more");
  return prompt;
}

/// Calls `visit(text, line, "path, line n")` for every line; throws DataError when there is none.
template <typename Visit>
void for_lines(const std::string& path, Visit&& visit) {
  const std::string text = read_text_file(path, kFileLimit_bytes);
  if (text.empty()) {
    throw DataError({.what = "A file of prompts holds none",
                     .expected = "one JSON object a line",
                     .got = "an empty file",
                     .where = path,
                     .hint = "Make one: crossloom prompts MODEL --text TEXT --output FILE."});
  }
  int64_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++line;
    visit(text.substr(begin, end - begin), line, fmt::format("{}, line {}", path, line));
    begin = end + 1;
  }
}

}  // namespace

std::string prompts_to_jsonl(const std::vector<Prompt>& prompts) {
  std::string lines;
  for (const auto& prompt : prompts) {
    const nlohmann::ordered_json object = {{"prompt", prompt.text},
                                           {"tokens", prompt.tokens},
                                           {"answer", prompt.answer},
                                           {"answer_id", prompt.answer_id},
                                           {"probability", four_decimals(prompt.probability)},
                                           {"entropy", four_decimals(prompt.entropy)},
                                           {"document", prompt.document}};
    lines += object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return lines;
}

std::vector<Prompt> read_prompts(const std::string& path) {
  std::vector<Prompt> prompts;
  std::map<std::vector<TokenId>, int64_t> seen;  // tokens → line
  for_lines(path, [&](const std::string& text, int64_t line, const std::string& source) {
    prompts.push_back(read_prompt(text, source));
    const auto [first, is_new] = seen.emplace(prompts.back().tokens, line);
    if (!is_new) {
      throw DataError({.what = "A prompt is there twice",
                       .expected = "every prompt once",
                       .got = fmt::format("the tokens of line {}", first->second),
                       .where = source,
                       .hint = "Remove one of the lines: it would count double."});
    }
  });
  return prompts;
}

std::vector<std::string> read_prompt_texts(const std::string& path) {
  std::vector<std::string> texts;
  for_lines(path, [&](const std::string& text, int64_t /*line*/, const std::string& source) {
    const Json object = parse_json(text, source);
    require_object(object, source);
    refuse_unknown_keys(object, source);
    texts.push_back(json_field<std::string>(object, "prompt", source));
  });
  return texts;
}

}  // namespace crossloom::eval
