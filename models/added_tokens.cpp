#include "models/added_tokens.h"

#include <algorithm>

#include "common/error.h"

namespace crossloom::models {
namespace {

constexpr int32_t kMostTokens = 10'000'000;

AddedToken read_token(const Json& json, const std::string& source) {
  AddedToken token;
  token.id = json_field<int32_t>(json, "id", source);
  token.content = json_field<std::string>(json, "content", source);
  token.special = json_field_or<bool>(json, "special", false, source);
  token.single_word = json_field_or<bool>(json, "single_word", false, source);
  token.strip_left = json_field_or<bool>(json, "lstrip", false, source);
  token.strip_right = json_field_or<bool>(json, "rstrip", false, source);
  if (token.id < 0 || token.id >= kMostTokens) {
    fail_json_field("id", fmt::format("0 to {}", kMostTokens - 1), fmt::format("{}", token.id),
                    source);
  }
  return token;
}

}  // namespace

AddedTokens::AddedTokens(const Json& json, const std::string& source)
    : word_at_end_(R"(\w\z)", source),
      word_at_start_(R"(\A\w)", source),
      space_at_end_(R"(\s+\z)", source),
      space_at_start_(R"(\A\s+)", source) {
  if (json.is_null()) {
    return;
  }
  if (!json.is_array()) {
    fail_json_field("added_tokens", "a list", json.type_name(), source);
  }
  const std::string where = source + ", added_tokens";
  for (const Json& entry : json) {
    tokens_.push_back(read_token(entry, where));
  }
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (!tokens_[i].content.empty()) {
      by_first_byte_[static_cast<uint8_t>(tokens_[i].content[0])].push_back(i);
    }
  }
  for (auto& list : by_first_byte_) {
    std::stable_sort(list.begin(), list.end(), [this](size_t a, size_t b) {
      return tokens_[a].content.size() > tokens_[b].content.size();
    });
  }
}

const AddedToken* AddedTokens::match_at(std::string_view text, size_t begin) const {
  for (const size_t i : by_first_byte_[static_cast<uint8_t>(text[begin])]) {
    if (text.compare(begin, tokens_[i].content.size(), tokens_[i].content) == 0) {
      return &tokens_[i];
    }
  }
  return nullptr;
}

bool AddedTokens::stands_alone(std::string_view text, size_t begin, size_t end) const {
  // The few bytes around decide; a window keeps this from scanning the whole text.
  constexpr size_t kWindow_bytes = 4;
  size_t from = begin > kWindow_bytes ? begin - kWindow_bytes : 0;
  while (from < begin && (static_cast<uint8_t>(text[from]) & 0xC0) == 0x80) {
    ++from;
  }
  const auto before = text.substr(from, begin - from);
  return word_at_end_.find_all(before).empty() && word_at_start_.find_all(text.substr(end)).empty();
}

void AddedTokens::scan(std::string_view text, const std::function<void(std::string_view)>& plain,
                       const std::function<void(int32_t)>& added) const {
  size_t done = 0;
  size_t at = 0;
  while (at < text.size()) {
    const AddedToken* token = match_at(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->content.size();
    at = end;
    if (token->single_word && !stands_alone(text, begin, end)) {
      continue;
    }
    if (token->strip_left) {
      const auto spaces = space_at_end_.find_all(text.substr(done, begin - done));
      begin = spaces.empty() ? begin : done + spaces.back().begin;
    }
    if (token->strip_right) {
      const auto spaces = space_at_start_.find_all(text.substr(end));
      end += spaces.empty() ? 0 : spaces.front().end;
    }
    if (begin > done) {
      plain(text.substr(done, begin - done));
    }
    added(token->id);
    done = end;
    at = std::max(at, end);
  }
  if (done < text.size()) {
    plain(text.substr(done));
  }
}

}  // namespace crossloom::models
