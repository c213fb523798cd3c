#include "architectures/row_selection.h"

#include <cmath>
#include <limits>

#include "common/error.h"

namespace crossloom::architectures {
namespace {

[[noreturn]] void refuse_non_finite(int64_t layer, int64_t token, int64_t feature, double value) {
  throw DataError(
      {.what = "non-finite pre-activation",
       .expected = "finite numbers",
       .got = fmt::format("{}", value),
       .where = fmt::format("layer {}, token {} of the batch, feature {}", layer, token, feature),
       .hint = "check the activations for NaN or overflow; if training diverged, lower "
               "the learning rate and resume from the last checkpoint"});
}

template <typename Real>
bool all_finite(const Real* values, int64_t count) {
  int bad = 0;  // a flag that vectorises
  for (int64_t i = 0; i < count; ++i) {
    bad |= static_cast<int>(!(std::abs(values[i]) <= std::numeric_limits<Real>::max()));
  }
  return bad == 0;
}

}  // namespace

void check_finite(int64_t layer, const at::Tensor& h, int64_t first_feature) {
  const int64_t features = h.size(1);
  kernels::dispatch_real(h.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* data = h.const_data_ptr<Real>();
    at::parallel_for(0, h.size(0), kRowGrain, [&](int64_t first, int64_t last) {
      for (int64_t t = first; t < last; ++t) {
        const Real* row = data + t * features;
        if (!all_finite(row, features)) {
          const Real* bad =
              std::find_if(row, row + features, [](Real v) { return !std::isfinite(v); });
          refuse_non_finite(layer, t, first_feature + (bad - row), static_cast<double>(*bad));
        }
      }
    });
  });
}

LayerCodes make_rows(const at::Tensor& counts, const at::TensorOptions& real, bool with_pre) {
  LayerCodes codes;
  codes.offsets = at::cat({at::zeros({1}, at::kLong), counts.cumsum(0)});
  const int64_t entries = codes.offsets[counts.size(0)].item<int64_t>();
  codes.index = at::empty({entries}, at::kInt);
  codes.value = at::empty({entries}, real);
  if (with_pre) {
    codes.pre = at::empty({entries}, real);
  }
  return codes;
}

LayerCodes compact_rows(const at::Tensor& places, const at::Tensor& values,
                        const at::Tensor& counts) {
  LayerCodes codes = make_rows(counts, values.options(), false);
  const int64_t capacity = places.size(1);
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  const auto* place = places.const_data_ptr<int32_t>();
  auto* index = codes.index.mutable_data_ptr<int32_t>();
  kernels::dispatch_real(values.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    const Real* from = values.const_data_ptr<Real>();
    Real* to = codes.value.mutable_data_ptr<Real>();
    at::parallel_for(0, codes.tokens(), kRowGrain, [&](int64_t first, int64_t last) {
      for (int64_t t = first; t < last; ++t) {
        const int64_t count = offsets[t + 1] - offsets[t];
        std::copy_n(place + t * capacity, count, index + offsets[t]);
        std::copy_n(from + t * capacity, count, to + offsets[t]);
      }
    });
  });
  return codes;
}

Candidates positive_rows(int64_t layer, const at::Tensor& h, int64_t first_feature) {
  check_shape(h, {-1, -1}, "h");
  const at::Tensor rows = h.contiguous();
  check_finite(layer, rows, first_feature);
  Candidates candidates;
  kernels::dispatch_real(h.scalar_type(), [&](auto real) {
    using Real = decltype(real);
    candidates = gather_rows<Real>(
        rows, first_feature, false, [](Real value, int64_t) { return value > Real{0}; },
        [](Real value, int64_t) { return value; });
  });
  return candidates;
}

}  // namespace crossloom::architectures
