// Documents → windows: what one forward pass sees. A window never crosses a document's end.
//
// From position p of a document's ids: the longest run that fits context_len positions once the
// one BOS rule (models::with_bos) has been applied to it. Position 0 of a window (the BOS, or a
// special token that stands in its place) is stored nowhere, so a window gives one row for each
// further position.
//
// The plan is made by all ranks together and is the same on all of them, for any rank count:
// windows in document order, row numbers by running sum, cut off at exactly max_tokens rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "common/communicator.h"
#include "data/text_source.h"

namespace crossloom::data {

using TokenId = int32_t;

/// What harvest needs of a tokenizer.
struct TextEncoder {
  /// Ids of a text, no special token in front.
  std::function<std::vector<TokenId>(std::string_view)> encode;
  /// The one BOS rule: ids → ids with a BOS in front, or unchanged when the first one is special.
  std::function<std::vector<TokenId>(std::vector<TokenId>)> add_bos;
};

/// Ids [begin, begin + length) of a document; rows [first_row, first_row + rows) of the cache.
struct TokenWindow {
  int64_t document = 0;
  int64_t begin = 0;
  int64_t length = 0;
  int64_t rows = 0;  // length, or length − 1 when no BOS is put in front
  int64_t first_row = 0;
};

/// The windows of one document, first_row left 0; a lone special token gives none.
std::vector<TokenWindow> cut_windows(const std::vector<TokenId>& ids, int64_t document,
                                     int64_t context_len, const TextEncoder& encoder);

/// Collective. max_tokens 0: all there are. Documents are tokenised by the ranks in turn, in
/// rounds, until there are enough.
std::vector<TokenWindow> plan_windows(const TextSource& text, const TextEncoder& encoder,
                                      int64_t context_len, int64_t max_tokens, Communicator& comm);

}  // namespace crossloom::data
