// From a matrix of pre-activations to CSR rows: the two passes (count, fill) that every activation
// shares, and the check that its numbers are finite. Rows are independent, so the result does not
// depend on the thread count.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "architectures/codes.h"
#include "architectures/kernels/dispatch.h"

namespace crossloom::architectures {

inline constexpr int64_t kRowGrain = 16;  // tokens a thread takes at least

/// Throws DataError naming layer, token and feature unless all of h [T, F'] is finite.
void check_finite(int64_t layer, const at::Tensor& h, int64_t first_feature);

/// Empty CSR rows with room for counts [T] (int64, consumed into offsets).
LayerCodes make_rows(const at::Tensor& counts, const at::TensorOptions& real, bool with_pre);

/// Rows from a padded list: counts [T] int64 entries of places [T, capacity] int32 and values
/// [T, capacity].
LayerCodes compact_rows(const at::Tensor& places, const at::Tensor& values,
                        const at::Tensor& counts);

/// Rows of the entries of h [T, F'] for which keep(h_i, i) holds, i counted within these features;
/// value(h_i, i) is the activation. `with_pre` also stores h.
template <typename Real, typename Keep, typename Value>
LayerCodes gather_rows(const at::Tensor& h, int64_t first_feature, bool with_pre, Keep&& keep,
                       Value&& value) {
  const int64_t features = h.size(1);
  const Real* data = h.const_data_ptr<Real>();
  const at::Tensor counts = at::empty({h.size(0)}, at::kLong);
  auto* count = counts.mutable_data_ptr<int64_t>();
  at::parallel_for(0, h.size(0), kRowGrain, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      const Real* row = data + t * features;
      int64_t kept = 0;
      for (int64_t i = 0; i < features; ++i) {
        kept += keep(row[i], i) ? 1 : 0;
      }
      count[t] = kept;
    }
  });
  LayerCodes codes = make_rows(counts, h.options(), with_pre);
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  auto* index = codes.index.mutable_data_ptr<int32_t>();
  Real* values = codes.value.mutable_data_ptr<Real>();
  Real* pre = with_pre ? codes.pre.mutable_data_ptr<Real>() : nullptr;
  at::parallel_for(0, h.size(0), kRowGrain, [&](int64_t first, int64_t last) {
    std::vector<int32_t> places(static_cast<size_t>(features));
    for (int64_t t = first; t < last; ++t) {
      const Real* row = data + t * features;
      size_t kept = 0;
      // No branch: which entries are kept is hard to guess.
      for (int64_t i = 0; i < features; ++i) {
        places[kept] = static_cast<int32_t>(i);
        kept += keep(row[i], i) ? 1 : 0;
      }
      for (size_t j = 0; j < kept; ++j) {
        const int64_t i = places[j];
        const auto place = offsets[t] + static_cast<int64_t>(j);
        index[place] = static_cast<int32_t>(first_feature + i);
        values[place] = value(row[i], i);
        if (pre != nullptr) {
          pre[place] = row[i];
        }
      }
    }
  });
  return codes;
}

/// Rows of the entries with h > 0, value h.
Candidates positive_rows(int64_t layer, const at::Tensor& h, int64_t first_feature);

}  // namespace crossloom::architectures
