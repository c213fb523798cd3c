#include "models/added_tokens.h"

#include <algorithm>
#include <set>

#include "common/error.h"
#include "common/utf8.h"
#include "models/regex_dialect.h"

namespace crossloom::models {
namespace {

/// \w of the reference's engine (Rust's regex crate, Unicode).
std::string word_class() {
  return "[\\p{Alphabetic}\\p{Join_Control}\\p{Pc}" + category_class_items("L") +
         category_class_items("M") + category_class_items("Nd") + "]";
}

size_t character_before(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

size_t white_space_begin(std::string_view text, size_t end) {
  while (end > 0) {
    const size_t before = character_before(text, end);
    if (!is_white_space(utf8_step(text, before).code_point)) {
      break;
    }
    end = before;
  }
  return end;
}

size_t white_space_end(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const Utf8Step step = utf8_step(text, begin);
    if (!is_white_space(step.code_point)) {
      break;
    }
    begin += step.size_bytes;
  }
  return begin;
}

[[noreturn]] void refuse_duplicate(const std::string& what, const std::string& where) {
  throw DataError({.what = what,
                   .expected = "each added token once",
                   .got = "two of them",
                   .where = where,
                   .hint = "The file may be damaged: fetch it again."});
}

}  // namespace

std::vector<AddedToken> parse_added_tokens(const Json& list, const std::string& source) {
  const std::string where = source + ", added_tokens";
  std::vector<AddedToken> tokens;
  if (list.is_null()) {
    return tokens;
  }
  if (!list.is_array()) {
    fail_json_field("added_tokens", "a list", list.type_name(), source);
  }
  std::set<std::string> contents;
  std::set<TokenId> ids;
  for (const Json& item : list) {
    AddedToken token;
    token.content = json_field<std::string>(item, "content", where);
    token.id = json_field<TokenId>(item, "id", where);
    token.special = json_field<bool>(item, "special", where);
    token.lstrip = json_field<bool>(item, "lstrip", where);
    token.rstrip = json_field<bool>(item, "rstrip", where);
    token.single_word = json_field<bool>(item, "single_word", where);
    token.normalized = json_field<bool>(item, "normalized", where);
    if (token.id < 0) {
      fail_json_field("id", "a whole number ≥ 0", fmt::format("{}", token.id), where);
    }
    if (token.content.empty()) {
      continue;  // the reference ignores them
    }
    if (!contents.insert(token.content).second) {
      refuse_duplicate(fmt::format("The added token '{}' is given twice", token.content), where);
    }
    if (!ids.insert(token.id).second) {
      refuse_duplicate(fmt::format("Two added tokens have the id {}", token.id), where);
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), word_(word_class(), Regex::Syntax::kPcre2, "word characters") {
  for (const AddedToken& token : tokens_) {
    CROSSLOOM_CHECK(by_id_.emplace(token.id, &token).second, "id {} twice", token.id);
    Pass& pass = token.normalized ? normalized_ : raw_;
    pass.sorted.push_back(&token);
    pass.begins[static_cast<unsigned char>(token.content.front())] = true;
  }
  for (Pass* pass : {&raw_, &normalized_}) {
    std::sort(pass->sorted.begin(), pass->sorted.end(),
              [](const AddedToken* a, const AddedToken* b) { return a->content < b->content; });
  }
}

const AddedToken* AddedTokens::Pass::longest_at(std::string_view text, size_t at) const {
  auto first = sorted.begin();
  auto last = sorted.end();
  const AddedToken* longest = nullptr;
  for (size_t depth = 0; first != last && at + depth < text.size(); ++depth) {
    const auto byte = static_cast<unsigned char>(text[at + depth]);
    const auto byte_of = [depth](const AddedToken* token) {  // -1 sorts a finished token first
      return depth < token->content.size() ? int{static_cast<unsigned char>(token->content[depth])}
                                           : -1;
    };
    first = std::partition_point(first, last, [&](const auto* t) { return byte_of(t) < byte; });
    last = std::partition_point(first, last, [&](const auto* t) { return byte_of(t) <= byte; });
    if (first != last && (*first)->content.size() == depth + 1) {
      longest = *first;
    }
  }
  return longest;
}

bool AddedTokens::stands_alone(std::string_view text, size_t begin, size_t end) const {
  const auto is_word = [&](size_t at) {
    return !word_.find_all(text.substr(at, utf8_step(text, at).size_bytes)).empty();
  };
  return (begin == 0 || !is_word(character_before(text, begin))) &&
         (end == text.size() || !is_word(end));
}

void AddedTokens::find(const Pass& pass, std::string_view text, std::vector<Cut>& cuts) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const bool possible = pass.begins[static_cast<unsigned char>(text[at])];
    const AddedToken* token = possible ? pass.longest_at(text, at) : nullptr;
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + token->content.size();
    at = end;  // the search goes on after the content, whatever becomes of the match
    if (token->single_word && !stands_alone(text, begin, end)) {
      continue;
    }
    begin = token->lstrip ? std::min(std::max(white_space_begin(text, begin), done), end) : begin;
    end = token->rstrip ? white_space_end(text, end) : end;
    if (done < begin) {
      cuts.push_back({text.substr(done, begin - done), -1});
    }
    cuts.push_back({text.substr(begin, end - begin), token->id});
    done = end;
  }
  if (done < text.size()) {
    cuts.push_back({text.substr(done), -1});
  }
}

std::vector<AddedTokens::Cut> AddedTokens::cut(std::string_view text) const {
  std::vector<Cut> first;
  find(raw_, text, first);
  std::vector<Cut> cuts;
  for (const Cut& part : first) {
    if (part.id >= 0) {
      cuts.push_back(part);
    } else {
      find(normalized_, part.text, cuts);
    }
  }
  return cuts;
}

const AddedToken* AddedTokens::with_id(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

const AddedToken* AddedTokens::with_content(std::string_view content) const {
  for (const AddedToken& token : tokens_) {
    if (token.content == content) {
      return &token;
    }
  }
  return nullptr;
}

}  // namespace crossloom::models
