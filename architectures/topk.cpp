#include "architectures/topk.h"

#include <utility>
#include <vector>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/ranges.h"
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

std::optional<Candidates> TopK::screened(const EncoderProduct& product) const {
  if (!kernels::screening_pays(product.x.size(0), product.weight)) {
    return std::nullopt;
  }
  auto best = kernels::screened_topk(product.x.contiguous(), product.weight, product.bias,
                                     std::min(k_, product.weight.size(0)));
  if (best) {
    best->index.add_(product.first_feature);
  }
  return best;
}

Candidates TopK::propose_from(int64_t layer, const EncoderProduct& product, Watch watch) const {
  auto candidates = screened(product);
  return candidates ? std::move(*candidates) : Activation::propose_from(layer, product, watch);
}

std::vector<Candidates> TopK::propose_all(const std::vector<EncoderProduct>& layers,
                                          Watch watch) const {
  if (layers.empty()) {
    return {};
  }
  const EncoderProduct& first = layers.front();
  if (kernels::layers_at_once(std::ssize(layers), first.x.size(0), first.x.size(1),
                              first.weight.size(0)) == 1) {
    return Activation::propose_all(layers, watch);
  }
  std::vector<std::optional<Candidates>> found(layers.size());
  kernels::deal(std::ssize(layers), [&](int64_t layer) {
    found[static_cast<size_t>(layer)] = screened(layers[static_cast<size_t>(layer)]);
  });
  std::vector<Candidates> candidates;
  for (size_t l = 0; l < layers.size(); ++l) {
    candidates.push_back(found[l]
                             ? std::move(*found[l])
                             : Activation::propose_from(static_cast<int64_t>(l), layers[l], watch));
  }
  return candidates;
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
