#include "models/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "common/error.h"
#include "common/hash.h"
#include "common/json_file.h"
#include "common/mapped_file.h"
#include "common/utf8.h"
#include "models/added_tokens.h"
#include "models/bpe.h"
#include "models/byte_level.h"
#include "models/pre_tokenizer.h"

namespace crossloom::models {
namespace {

constexpr size_t kTokenizerLimit_bytes = size_t{64} << 20;

Json value_or_null(const Json& json, const char* key) {
  return json.contains(key) ? json[key] : Json{};
}

void refuse_normalizer(const Json& json, const std::string& source) {
  const Json normalizer = value_or_null(json, "normalizer");
  const bool empty_sequence = normalizer.is_object() &&
                              normalizer.value("type", Json{}) == "Sequence" &&
                              normalizer.value("normalizers", Json{}) == Json::array();
  if (!normalizer.is_null() && !empty_sequence) {
    throw DataError(
        {.what = "This tokenizer's 'normalizer' is not supported",
         .expected = "none",
         .got = normalizer.dump(-1, ' ', true, Json::error_handler_t::replace),
         .where = source,
         .hint = "Supported: byte-level BPE as used by SmolLM2, GPT-2, Llama 3, Qwen."});
  }
}

}  // namespace

struct Tokenizer::Parts {
  Parts(const Json& json, const std::string& source)
      : added(value_or_null(json, "added_tokens"), source),
        pre_tokenizer(make_pre_tokenizer(value_or_null(json, "pre_tokenizer"), source)),
        model(value_or_null(json, "model"), source) {}

  AddedTokens added;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  BytePairModel model;
  std::unordered_map<TokenId, std::string> bytes;  // what an id stands for
  std::unordered_map<std::string, TokenId> id;     // of tokens as written
  std::set<TokenId> special;
  TokenId highest = -1;
  std::string hash;
};

Tokenizer::Tokenizer(const std::string& tokenizer_json, const std::string& source) {
  const Json json = parse_json(tokenizer_json, source);
  if (!json.is_object()) {
    fail_json_field("model", "an object with the tokenizer's parts", json.type_name(), source);
  }
  refuse_normalizer(json, source);
  auto parts = std::make_unique<Parts>(json, source);
  const auto add = [&](const std::string& token, TokenId id) {
    parts->bytes[id] = bytes_of_symbols(token).value_or(token);
    parts->id[token] = id;
    parts->highest = std::max(parts->highest, id);
  };
  for (const auto& [token, id] : parts->model.vocabulary()) {
    add(token, id);
  }
  for (const auto& token : parts->added.all()) {
    add(token.content, token.id);
    if (token.special) {
      parts->special.insert(token.id);
    }
  }
  parts->hash = hex(xxh3(std::as_bytes(std::span(tokenizer_json))));
  parts_ = std::move(parts);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::load(const std::string& folder_or_file) {
  const std::filesystem::path given(folder_or_file);
  const auto path = std::filesystem::is_directory(given) ? given / "tokenizer.json" : given;
  return Tokenizer(read_text_file(path.string(), kTokenizerLimit_bytes), path.string());
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  const std::string valid = valid_utf8(text);
  std::vector<TokenId> ids;
  parts_->added.scan(
      valid,
      [&](std::string_view plain) {
        for (const auto& word : parts_->pre_tokenizer->split({std::string(plain)})) {
          parts_->model.encode(word, ids);
        }
      },
      [&](int32_t id) { ids.push_back(id); });
  return ids;
}

std::string Tokenizer::token_bytes(TokenId id) const {
  const auto found = parts_->bytes.find(id);
  return found == parts_->bytes.end() ? std::string{} : found->second;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  std::string bytes;
  for (const TokenId id : ids) {
    bytes += token_bytes(id);
  }
  return valid_utf8(bytes);
}

int64_t Tokenizer::vocabulary_size() const {
  return int64_t{parts_->highest} + 1;
}

bool Tokenizer::is_special(TokenId id) const {
  return parts_->special.contains(id);
}

TokenId Tokenizer::id_of(std::string_view token) const {
  const auto found = parts_->id.find(std::string(token));
  return found == parts_->id.end() ? -1 : found->second;
}

const std::string& Tokenizer::hash() const {
  return parts_->hash;
}

std::vector<TokenId> with_bos(std::vector<TokenId> ids, const Tokenizer& tokenizer,
                              TokenId bos_id) {
  const bool begins_special = !ids.empty() && tokenizer.is_special(ids.front());
  if (!begins_special && bos_id >= 0) {
    ids.insert(ids.begin(), bos_id);
  }
  return ids;
}

}  // namespace crossloom::models
