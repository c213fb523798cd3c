// One window through the model: its ids (the one BOS rule applied), the forward pass, and the rows
// that are stored, bfloat16, position 0 dropped.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/harvest_shards.h"

namespace crossloom::data {

class WindowRows {
 public:
  /// The references outlive this object.
  WindowRows(const TextSource& text, const TextEncoder& encoder, const WindowForward& forward,
             const ShardIdentity& identity)
      : text_(text), encoder_(encoder), forward_(forward), identity_(identity) {}

  /// Rows [from, from + count) of the window's; row i is position i + 1. Throws InternalError when
  /// the forward pass gives other shapes than the identity says.
  Batch rows(const TokenWindow& window, int64_t from, int64_t count);

 private:
  std::vector<TokenId> ids(const TokenWindow& window);

  const TextSource& text_;
  const TextEncoder& encoder_;
  const WindowForward& forward_;
  const ShardIdentity& identity_;
  int64_t document_ = -1;  // whose ids are in document_ids_
  std::vector<TokenId> document_ids_;
};

/// The window that holds `row`; windows are in row order from 0.
std::vector<TokenWindow>::const_iterator window_at(const std::vector<TokenWindow>& windows,
                                                   int64_t row);

}  // namespace crossloom::data
