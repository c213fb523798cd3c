#include "models/tokenizer.h"

#include <filesystem>
#include <unordered_map>

#include "common/error.h"
#include "common/hash.h"
#include "common/mapped_file.h"
#include "common/utf8.h"
#include "models/added_tokens.h"
#include "models/bpe.h"
#include "models/byte_level.h"
#include "models/pre_tokenizer.h"

namespace crossloom::models {
namespace {

constexpr size_t kFileLimit_bytes = 64'000'000;
constexpr size_t kCachedPiece_bytes = 48;  // longer pieces repeat rarely
constexpr size_t kCacheLimit_pieces = 1 << 16;

[[noreturn]] void refuse(const std::string& what, const std::string& expected,
                         const std::string& got, const std::string& where) {
  throw DataError(
      {.what = what,
       .expected = expected,
       .got = got,
       .where = where,
       .hint = "Use a model with a byte-level BPE tokenizer, or fetch the file again."});
}

void check_frame(const Json& json, const std::string& source) {
  if (!json.is_object() || !json.contains("model")) {
    refuse("This is not a tokenizer.json", "an object with \"model\"", json.type_name(), source);
  }
  const Json& normalizer = json_part(json, "normalizer");
  if (!normalizer.is_null()) {
    refuse("The normalizer is not supported", "null",
           json_field_or<std::string>(normalizer, "type", "something else", source), source);
  }
  const Json& decoder = json_part(json, "decoder");
  const auto type = json_field_or<std::string>(decoder, "type", "none", source);
  if (type != "ByteLevel") {
    refuse("The decoder is not supported", "ByteLevel", type, source + ", decoder");
  }
}

/// The reference gives an added token the id of the vocabulary, or the next free one, and warns
/// when the file says otherwise; we refuse, because someone would be wrong about the id.
void check_added_ids(const std::vector<AddedToken>& added, const Bpe& bpe,
                     const std::string& source) {
  auto next = static_cast<int64_t>(bpe.vocabulary().size());
  for (const AddedToken& token : added) {
    const auto found = bpe.vocabulary().find(token.content);
    const int64_t expected = found == bpe.vocabulary().end() ? next : found->second;
    next = std::max(next, expected + 1);
    if (token.id != expected) {
      refuse(fmt::format("The added token '{}' has an id that does not fit the vocabulary",
                         token.content),
             fmt::format("{}", expected), fmt::format("{}", token.id), source + ", added_tokens");
    }
  }
}

/// Appends pieces to `ids`; a short piece seen before is copied from where it was written first.
class PieceEncoder {
 public:
  PieceEncoder(const Bpe& bpe, std::vector<TokenId>& ids) : bpe_(bpe), ids_(ids) {}

  void add(std::string_view piece) {
    if (piece.size() > kCachedPiece_bytes) {
      bpe_.encode(piece, ids_, scratch_);
      return;
    }
    const std::string key(piece);
    if (const auto known = seen_.find(key); known != seen_.end()) {
      for (size_t i = known->second.first; i < known->second.second; ++i) {
        ids_.push_back(ids_[i]);
      }
      return;
    }
    const size_t begin = ids_.size();
    bpe_.encode(piece, ids_, scratch_);
    if (seen_.size() < kCacheLimit_pieces) {
      seen_.emplace(key, std::pair(begin, ids_.size()));
    }
  }

 private:
  const Bpe& bpe_;
  std::vector<TokenId>& ids_;
  Bpe::Scratch scratch_;
  std::unordered_map<std::string, std::pair<size_t, size_t>> seen_;  // piece → [begin, end) of ids_
};

}  // namespace

struct Tokenizer::Parts {
  Parts(const Json& json, const std::string& source)
      : bpe(json_part(json, "model"), source),
        pieces(json_part(json, "pre_tokenizer"), source),
        added(parse_added_tokens(json_part(json, "added_tokens"), source)) {
    check_added_ids(added.all(), bpe, source);
    for (const auto& [token, id] : bpe.vocabulary()) {
      bytes_of.emplace(id, from_symbols(token));
      size = std::max(size, int64_t{id} + 1);
    }
    for (const AddedToken& token : added.all()) {
      bytes_of.insert_or_assign(token.id, from_symbols(token.content));
      size = std::max(size, int64_t{token.id} + 1);
    }
  }

  Bpe bpe;
  PreTokenizer pieces;
  AddedTokens added;
  std::unordered_map<TokenId, std::string> bytes_of;
  int64_t size = 0;  // the largest id + 1
  std::string hash;
};

Tokenizer Tokenizer::load(const std::string& folder_or_file) {
  const std::filesystem::path path(folder_or_file);
  const std::string file =
      std::filesystem::is_directory(path) ? (path / "tokenizer.json").string() : path.string();
  return Tokenizer(read_text_file(file, kFileLimit_bytes), file);
}

Tokenizer::Tokenizer(const std::string& tokenizer_json, const std::string& source) {
  const Json json = parse_json(tokenizer_json, source);
  check_frame(json, source);
  auto parts = std::make_unique<Parts>(json, source);
  parts->hash = hex(xxh3(std::as_bytes(std::span(tokenizer_json))));
  parts_ = std::move(parts);
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  std::vector<TokenId> ids;
  PieceEncoder encoder(parts_->bpe, ids);
  Pieces pieces;
  for (const AddedTokens::Cut& cut : parts_->added.cut(text)) {
    if (cut.id >= 0) {
      ids.push_back(cut.id);
      continue;
    }
    parts_->pieces.split(cut.text, pieces);
    for (const std::string_view piece : pieces.views) {
      encoder.add(piece);
    }
  }
  return ids;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  std::string bytes;
  for (const TokenId id : ids) {
    bytes += token_bytes(id);
  }
  return repair_utf8(bytes);
}

std::string Tokenizer::token_bytes(TokenId id) const {
  const auto found = parts_->bytes_of.find(id);
  return found == parts_->bytes_of.end() ? std::string{} : found->second;
}

int64_t Tokenizer::vocabulary_size() const {
  return parts_->size;
}

bool Tokenizer::is_special(TokenId id) const {
  const AddedToken* token = parts_->added.with_id(id);
  return token != nullptr && token->special;
}

TokenId Tokenizer::id_of(std::string_view token) const {
  if (const AddedToken* added = parts_->added.with_content(token)) {
    return added->id;
  }
  const auto found = parts_->bpe.vocabulary().find(std::string(token));
  return found == parts_->bpe.vocabulary().end() ? -1 : found->second;
}

const std::string& Tokenizer::hash() const {
  return parts_->hash;
}

std::vector<TokenId> with_bos(std::vector<TokenId> ids, const Tokenizer& tokenizer,
                              TokenId bos_id) {
  const bool has_one = !ids.empty() && tokenizer.is_special(ids.front());
  if (!has_one && bos_id >= 0) {
    ids.insert(ids.begin(), bos_id);
  }
  return ids;
}

}  // namespace crossloom::models
