#include "architectures/topk.h"

#include <vector>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/screened_topk.h"
#include "architectures/row_selection.h"
#include "common/error.h"

namespace crossloom::architectures {
namespace {

template <typename Real>
Candidates propose_typed(const at::Tensor& h, int64_t capacity) {
  const int64_t features = h.size(1);
  const at::Tensor places = at::empty({h.size(0), capacity}, at::kInt);
  const at::Tensor values = at::empty({h.size(0), capacity}, h.options());
  const at::Tensor counts = at::empty({h.size(0)}, at::kLong);
  const Real* data = h.const_data_ptr<Real>();
  auto* place = places.mutable_data_ptr<int32_t>();
  Real* value = values.mutable_data_ptr<Real>();
  auto* count = counts.mutable_data_ptr<int64_t>();
  at::parallel_for(0, h.size(0), kRowGrain, [&](int64_t first, int64_t last) {
    kernels::BestScratch<Real> scratch;
    for (int64_t t = first; t < last; ++t) {
      const Real* row = data + t * features;
      count[t] = kernels::best_of_row(row, features, capacity, scratch, place + t * capacity);
      for (int64_t c = t * capacity; c < t * capacity + count[t]; ++c) {
        value[c] = row[place[c]];
      }
    }
  });
  return compact_rows(places, values, counts);
}

/// Marks the K best of each row: bool [nnz].
template <typename Real>
at::Tensor mark_best(const Candidates& merged, int64_t k) {
  const at::Tensor keep = at::zeros({merged.count()}, at::kBool);
  const auto* offsets = merged.offsets.const_data_ptr<int64_t>();
  const Real* value = merged.value.const_data_ptr<Real>();
  auto* marks = keep.mutable_data_ptr<bool>();
  kernels::BestScratch<Real> scratch;
  std::vector<int32_t> places(static_cast<size_t>(k));
  for (int64_t t = 0; t < merged.tokens(); ++t) {
    const int64_t begin = offsets[t];
    const int64_t kept =
        kernels::best_of_row(value + begin, offsets[t + 1] - begin, k, scratch, places.data());
    for (int64_t c = 0; c < kept; ++c) {
      marks[begin + places[static_cast<size_t>(c)]] = true;
    }
  }
  return keep;
}

}  // namespace

void check_kept(int64_t k, int64_t features) {
  if (k < 1 || k > features) {
    throw ConfigError({.what = "k is out of range",
                       .expected = fmt::format("1 ≤ k ≤ features = {}", features),
                       .got = fmt::format("{}", k),
                       .where = "k",
                       .hint = "choose how many features a token may use per layer, e.g. 16"});
  }
}

TopK::TopK(int64_t k, int64_t features) : k_(k), features_(features) {
  check_kept(k, features);
}

Candidates TopK::propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                         Watch /*watch*/) const {
  check_shape(h, {-1, -1}, "h");
  const at::Tensor rows = h.contiguous();
  check_finite(layer, rows, first_feature);
  Candidates candidates;
  kernels::dispatch_real(h.scalar_type(), [&](auto real) {
    candidates = propose_typed<decltype(real)>(rows, std::min(k_, h.size(1)));
  });
  candidates.index.add_(first_feature);
  return candidates;
}

std::optional<Candidates> TopK::screened(const EncoderProduct& product, Watch /*watch*/) const {
  return kernels::screened_topk(product.x, product.weight, product.bias,
                                std::min(k_, product.weight.size(0)));
}

LayerCodes TopK::filter(int64_t /*layer*/, const Candidates& merged,
                        std::optional<double> /*bar*/) const {
  if (merged.tokens() == 0 || row_counts(merged).max().item<int64_t>() <= k_) {
    return merged;
  }
  at::Tensor keep;
  kernels::dispatch_real(merged.value.scalar_type(),
                         [&](auto real) { keep = mark_best<decltype(real)>(merged, k_); });
  return select_entries(merged, keep);
}

void TopK::set_kept(int64_t k) {
  check_kept(k, features_);
  k_ = k;
}

std::string TopK::describe() const {
  return fmt::format(
      "TopK: the K = {} largest of ReLU(h) per layer and token, ties to the lower "
      "index, only positive entries",
      k_);
}

}  // namespace crossloom::architectures
