#include "models/bpe.h"

#include <queue>

#include "common/error.h"
#include "models/byte_level.h"

namespace crossloom::models {
namespace {

constexpr int32_t kMostTokens = 10'000'000;

[[noreturn]] void refuse(const std::string& what, const std::string& expected,
                         const std::string& got, const std::string& source) {
  throw DataError({.what = what,
                   .expected = expected,
                   .got = got,
                   .where = source,
                   .hint = "Supported: byte-level BPE as used by SmolLM2, GPT-2, Llama 3, Qwen."});
}

void refuse_other_models(const Json& json, const std::string& source) {
  const auto type = json_field_or<std::string>(json, "type", "BPE", source);
  if (type != "BPE") {
    refuse("This tokenizer's model is not supported", "BPE", type, source);
  }
  for (const char* key :
       {"unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"}) {
    const bool empty =
        !json.contains(key) || json[key].is_null() || json[key] == "" || json[key] == 0.0;
    if (!empty) {
      refuse(fmt::format("This tokenizer's '{}' is not supported", key), "none", json[key].dump(),
             source);
    }
  }
  if (json_field_or<bool>(json, "byte_fallback", false, source)) {
    refuse("This tokenizer's 'byte_fallback' is not supported", "false", "true", source);
  }
}

/// One entry of "merges": "a b" or ["a", "b"].
std::pair<std::string, std::string> read_pair(const Json& entry, const std::string& source) {
  if (entry.is_string()) {
    const auto& text = entry.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && space > 0 && space + 1 < text.size() &&
        text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
             entry[1].is_string()) {
    return {entry[0].get<std::string>(), entry[1].get<std::string>()};
  }
  refuse("A merge is not a pair of tokens", "\"a b\" or [\"a\", \"b\"]",
         entry.dump(-1, ' ', true, Json::error_handler_t::replace), source);
}

/// A pair that may be merged, as it stood when it was queued.
struct Step {
  int32_t rank;
  int32_t position;
  int32_t id;

  bool operator>(const Step& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

BytePairModel::BytePairModel(const Json& json, const std::string& source) {
  if (!json.is_object()) {
    refuse("tokenizer.json has no model", "an object", json.type_name(), source);
  }
  refuse_other_models(json, source);
  ignore_merges_ = json_field_or<bool>(json, "ignore_merges", false, source);
  read_vocabulary(json, source);
  read_merges(json, source);
  for (size_t byte = 0; byte < byte_id_.size(); ++byte) {
    const auto found = vocabulary_.find(byte_symbol(static_cast<uint8_t>(byte)));
    byte_id_[byte] = found == vocabulary_.end() ? -1 : found->second;
  }
}

void BytePairModel::read_vocabulary(const Json& json, const std::string& source) {
  if (!json.contains("vocab") || !json["vocab"].is_object() || json["vocab"].empty()) {
    refuse("The vocabulary is missing", "\"vocab\": {token: id}", "none", source);
  }
  for (const auto& [token, id] : json["vocab"].items()) {
    if (!detail::json_type_fits<int32_t>(id) || id.get<int32_t>() < 0 ||
        id.get<int32_t>() >= kMostTokens) {
      refuse(fmt::format("The id of token '{}' is impossible", token),
             fmt::format("0 to {}", kMostTokens - 1), id.dump(), source);
    }
    vocabulary_[token] = id.get<int32_t>();
  }
}

void BytePairModel::read_merges(const Json& json, const std::string& source) {
  if (!json.contains("merges") || !json["merges"].is_array()) {
    refuse("The merges are missing", "\"merges\": [pairs]", "none", source);
  }
  const auto id_of = [&](const std::string& token) {
    const auto found = vocabulary_.find(token);
    if (found == vocabulary_.end()) {
      refuse("A merge names a token that the vocabulary lacks", "a token of \"vocab\"", token,
             source);
    }
    return found->second;
  };
  int32_t rank = 0;
  for (const Json& entry : json["merges"]) {
    const auto [left, right] = read_pair(entry, source);
    const Merge merge{rank++, id_of(left + right)};
    merges_[pair_key(id_of(left), id_of(right))] = merge;
  }
}

void BytePairModel::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    std::string symbols;
    for (const char c : word) {
      symbols += byte_symbol(static_cast<uint8_t>(c));
    }
    if (const auto found = vocabulary_.find(symbols); found != vocabulary_.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  std::vector<int32_t> symbols;
  for (const char c : word) {
    const int32_t id = byte_id_[static_cast<uint8_t>(c)];
    if (id >= 0) {
      symbols.push_back(id);
    }
  }
  merge(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void BytePairModel::merge(std::vector<int32_t>& symbols) const {
  constexpr int32_t kGone = -1;
  const auto count = static_cast<int32_t>(symbols.size());
  std::vector<int32_t> next(symbols.size());
  std::vector<int32_t> previous(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    next[static_cast<size_t>(i)] = i + 1 < count ? i + 1 : kGone;
    previous[static_cast<size_t>(i)] = i - 1;
  }
  std::priority_queue<Step, std::vector<Step>, std::greater<>> queue;
  const auto find = [&](int32_t position) -> const Merge* {
    const int32_t right = next[static_cast<size_t>(position)];
    if (right == kGone) {
      return nullptr;
    }
    const auto found = merges_.find(
        pair_key(symbols[static_cast<size_t>(position)], symbols[static_cast<size_t>(right)]));
    return found == merges_.end() ? nullptr : &found->second;
  };
  const auto offer = [&](int32_t position) {
    if (const Merge* merge = find(position)) {
      queue.push({merge->rank, position, merge->id});
    }
  };
  for (int32_t i = 0; i < count; ++i) {
    offer(i);
  }
  while (!queue.empty()) {
    const Step step = queue.top();
    queue.pop();
    const auto left = static_cast<size_t>(step.position);
    const Merge* merge = symbols[left] == kGone ? nullptr : find(step.position);
    if (merge == nullptr || merge->id != step.id) {
      continue;  // the pair has changed since it was queued
    }
    const auto right = static_cast<size_t>(next[left]);
    symbols[left] = step.id;
    symbols[right] = kGone;
    next[left] = next[right];
    if (next[left] != kGone) {
      previous[static_cast<size_t>(next[left])] = step.position;
    }
    offer(step.position);
    if (previous[left] >= 0) {
      offer(previous[left]);
    }
  }
  std::erase(symbols, kGone);
}

}  // namespace crossloom::models
