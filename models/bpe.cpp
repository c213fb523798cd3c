#include "models/bpe.h"

#include <algorithm>
#include <utility>

#include "common/error.h"
#include "common/utf8.h"
#include "models/byte_level.h"

namespace crossloom::models {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& expected,
                         const std::string& got, const std::string& where) {
  throw DataError(
      {.what = what,
       .expected = expected,
       .got = got,
       .where = where,
       .hint = "Use a model with a byte-level BPE tokenizer, or fetch the file again."});
}

uint64_t pair_key(TokenId left, TokenId right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

/// "a b" or ["a", "b"].
std::pair<std::string, std::string> merge_parts(const Json& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  refuse("A merge is not a pair of tokens", "\"a b\" or [\"a\", \"b\"]",
         merge.dump(-1, ' ', true, Json::error_handler_t::replace), where);
}

/// Smallest rank first, then leftmost; for std::push_heap, which keeps the largest on top.
bool later(const Bpe::Scratch::Candidate& a, const Bpe::Scratch::Candidate& b) {
  return std::pair(a.rank, a.at) > std::pair(b.rank, b.at);
}

}  // namespace

Bpe::Bpe(const Json& model, const std::string& source) {
  const std::string where = source + ", model";
  const auto type = json_field_or<std::string>(model, "type", "BPE", where);
  if (type != "BPE") {
    refuse("The tokenizer's model is not supported", "BPE", type, where);
  }
  read_vocabulary(model, where);
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, symbol_of_byte(static_cast<uint8_t>(byte)));
    const auto found = vocabulary_.find(symbol);
    byte_ids_[byte] = found == vocabulary_.end() ? -1 : found->second;
  }
  refuse_unsupported(model, where);
  read_merges(model, where);
  whole_pieces_first_ = json_field_or<bool>(model, "ignore_merges", false, where);
}

void Bpe::refuse_unsupported(const Json& model, const std::string& where) const {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto affix = json_field_or<std::string>(model, key, "", where);
    if (!affix.empty()) {
      refuse(fmt::format("'{}' is not supported", key), "null", affix, where);
    }
  }
  if (json_field_or<bool>(model, "byte_fallback", false, where)) {
    refuse("'byte_fallback' is not supported", "a byte-level vocabulary (false)", "true", where);
  }
  if (json_field_or<double>(model, "dropout", 0.0, where) != 0.0) {
    refuse("'dropout' is not supported", "null", model["dropout"].dump(), where);
  }
  const auto unknown = json_field_or<std::string>(model, "unk_token", "", where);
  const bool every_byte = std::count(byte_ids_.begin(), byte_ids_.end(), -1) == 0;
  if (!unknown.empty() && !every_byte) {
    refuse("'unk_token' is supported only where every byte has a token",
           "null, or a vocabulary with all 256 byte symbols", unknown, where);
  }
}

void Bpe::read_vocabulary(const Json& model, const std::string& where) {
  const Json& vocab = json_part(model, "vocab");
  if (!vocab.is_object()) {
    fail_json_field("vocab", "an object of token: id", vocab.type_name(), where);
  }
  std::unordered_map<TokenId, std::string> tokens;
  for (const auto& [token, value] : vocab.items()) {
    if (!detail::json_type_fits<TokenId>(value) || value.get<TokenId>() < 0) {
      refuse(fmt::format("The id of token '{}' is not valid", token), "a whole number ≥ 0",
             value.dump(-1, ' ', true, Json::error_handler_t::replace), where);
    }
    const auto id = value.get<TokenId>();
    const auto [other, is_new] = tokens.emplace(id, token);
    if (!is_new) {
      refuse(fmt::format("Two tokens have the id {}", id), "one token per id",
             fmt::format("'{}' and '{}'", other->second, token), where);
    }
    vocabulary_.emplace(token, id);
  }
}

void Bpe::read_merges(const Json& model, const std::string& where) {
  const Json& list = json_part(model, "merges");
  if (!list.is_array()) {
    fail_json_field("merges", "a list", list.type_name(), where);
  }
  const auto id_of = [&](const std::string& token, size_t rank) {
    const auto found = vocabulary_.find(token);
    if (found == vocabulary_.end()) {
      refuse(fmt::format("Merge {} names a token that is not in the vocabulary", rank),
             "tokens of the vocabulary", token, where);
    }
    return found->second;
  };
  for (size_t rank = 0; rank < list.size(); ++rank) {
    const auto [left, right] = merge_parts(list[rank], where);
    const uint64_t key = pair_key(id_of(left, rank), id_of(right, rank));
    merges_[key] = {static_cast<uint32_t>(rank), id_of(left + right, rank)};  // the last one counts
  }
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& ids, Scratch& scratch) const {
  if (whole_pieces_first_) {
    const auto whole = vocabulary_.find(to_symbols(piece));
    if (whole != vocabulary_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  auto& symbols = scratch.symbols;
  symbols.clear();
  for (const char byte : piece) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id >= 0) {
      const auto at = static_cast<int64_t>(symbols.size());
      symbols.push_back({id, at - 1, at + 1, true});
    }
  }
  if (symbols.empty()) {
    return;
  }
  symbols.back().next = -1;
  merge_all(scratch);
  for (const auto& symbol : symbols) {
    if (symbol.alive) {
      ids.push_back(symbol.id);
    }
  }
}

void Bpe::propose(Scratch& scratch, int64_t left) const {
  const auto& symbol = scratch.symbols[size_t(left)];
  if (symbol.next < 0) {
    return;
  }
  const auto found = merges_.find(pair_key(symbol.id, scratch.symbols[size_t(symbol.next)].id));
  if (found != merges_.end()) {
    scratch.heap.push_back({found->second.rank, found->second.merged, left});
    std::push_heap(scratch.heap.begin(), scratch.heap.end(), later);
  }
}

void Bpe::merge_all(Scratch& scratch) const {
  auto& symbols = scratch.symbols;
  scratch.heap.clear();
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    propose(scratch, static_cast<int64_t>(i));
  }
  while (!scratch.heap.empty()) {
    std::pop_heap(scratch.heap.begin(), scratch.heap.end(), later);
    const auto candidate = scratch.heap.back();
    scratch.heap.pop_back();
    auto& left = symbols[size_t(candidate.at)];
    if (!left.alive || left.next < 0) {
      continue;
    }
    auto& right = symbols[size_t(left.next)];
    const auto found = merges_.find(pair_key(left.id, right.id));
    if (found == merges_.end() || found->second.merged != candidate.merged) {
      continue;  // the pair has changed since it was proposed
    }
    left.id = candidate.merged;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) {
      symbols[size_t(left.next)].previous = candidate.at;
    }
    if (left.previous >= 0) {
      propose(scratch, left.previous);
    }
    propose(scratch, candidate.at);
  }
}

}  // namespace crossloom::models
