#include "data/window_rows.h"

#include <algorithm>

namespace crossloom::data {

Batch WindowRows::rows(const TokenWindow& window, int64_t from, int64_t count) {
  const std::vector<TokenId> window_ids = ids(window);
  const WindowActivations all = forward_(window_ids);
  const auto positions = int64_t(window_ids.size());
  CROSSLOOM_CHECK(std::cmp_equal(all.x.size(), identity_.layers) && all.x.size() == all.y.size(),
                  "the forward pass gave {} layers, {} expected", all.x.size(), identity_.layers);
  Batch rows;
  for (size_t layer = 0; layer < all.x.size(); ++layer) {
    check_shape(all.x[layer], {positions, identity_.width_in}, "inputs of a window");
    check_shape(all.y[layer], {positions, identity_.width_out}, "targets of a window");
    rows.x.push_back(all.x[layer].narrow(0, from + 1, count).to(at::kBFloat16).contiguous());
    rows.y.push_back(all.y[layer].narrow(0, from + 1, count).to(at::kBFloat16).contiguous());
  }
  rows.tokens = at::empty({count}, at::kInt);
  std::copy_n(window_ids.begin() + from + 1, count, rows.tokens.mutable_data_ptr<int32_t>());
  rows.documents = at::full({count}, window.document, at::kLong);
  rows.positions = at::arange(from + 1, from + 1 + count, at::kInt);
  return rows;
}

/// Ids of a window, BOS in front: [rows + 1].
std::vector<TokenId> WindowRows::ids(const TokenWindow& window) {
  if (window.document != document_) {
    document_ids_ = encoder_.encode(text_.text(window.document));
    document_ = window.document;
  }
  const auto begin = document_ids_.begin() + window.begin;
  auto result = encoder_.add_bos({begin, begin + window.length});
  CROSSLOOM_CHECK(std::cmp_equal(result.size(), window.rows + 1), "{} ids for {} rows",
                  result.size(), window.rows);
  return result;
}

std::vector<TokenWindow>::const_iterator window_at(const std::vector<TokenWindow>& windows,
                                                   int64_t row) {
  const auto after =
      std::upper_bound(windows.begin(), windows.end(), row,
                       [](int64_t value, const TokenWindow& w) { return value < w.first_row; });
  return after - 1;
}

}  // namespace crossloom::data
