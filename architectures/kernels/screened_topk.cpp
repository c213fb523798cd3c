#include "architectures/kernels/screened_topk.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <ATen/ops/mm.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/screen.h"
#include "architectures/row_selection.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kFewestTokens = 64;  // below, rounding the weights costs more than it saves
constexpr int64_t kFewestFeatures = 64;

/// Whether products of bfloat16 are faster than those of float32. They are where AMX makes them,
/// and with AMD's AVX-512; Intel's AVX-512 alone makes them at half the rate of float32
/// (benchmarks/README.md).
bool has_fast_bfloat16() {
#if defined(__x86_64__)
  constexpr unsigned kFeatures = 7;
  constexpr unsigned kAmxBfloat16 = 1U << 22U;
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool by_tiles =
      __get_cpuid_count(kFeatures, 0, &a, &b, &c, &d) != 0 && (d & kAmxBfloat16) != 0;
  const bool by_vectors = __builtin_cpu_supports("avx512bf16") != 0 && __builtin_cpu_is("amd") != 0;
  return by_tiles || by_vectors;
#else
  return false;
#endif
}

/// Rows in bfloat16 with what the bound needs.
struct RoundedRows {
  at::Tensor rows;                 // bfloat16 [n, D]
  std::vector<float> norms;        // ‖row‖
  std::vector<float> near_norms;   // ‖rounded row‖
  std::vector<float> error_norms;  // ‖row − rounded row‖
};

/// √ of a float32 sum of D squares, rounded up.
float norm_above(float squares, int64_t width) {
  return std::sqrt(squares) * (1.0F + static_cast<float>(width) * 0x1p-23F);
}

/// Rows that are bfloat16 already: no rounding error.
RoundedRows exact_rows(const at::Tensor& rows) {
  const int64_t width = rows.size(1);
  const auto n = static_cast<size_t>(rows.size(0));
  RoundedRows exact{rows, std::vector<float>(n), {}, std::vector<float>(n, 0.0F)};
  const auto* from = static_cast<const uint16_t*>(rows.const_data_ptr());
  for_token_ranges(rows.size(0), [&](Range range) {
    for (int64_t i = range.first; i < range.last; ++i) {
      exact.norms[static_cast<size_t>(i)] = norm_above(row_square(from + i * width, width), width);
    }
  });
  exact.near_norms = exact.norms;
  return exact;
}

RoundedRows round_rows(const at::Tensor& rows) {
  if (rows.scalar_type() == at::kBFloat16) {
    return exact_rows(rows);
  }
  const int64_t count = rows.size(0);
  const int64_t width = rows.size(1);
  const auto n = static_cast<size_t>(count);
  RoundedRows rounded{at::empty(rows.sizes(), at::kBFloat16), std::vector<float>(n),
                      std::vector<float>(n), std::vector<float>(n)};
  const float* from = rows.const_data_ptr<float>();
  auto* to = static_cast<uint16_t*>(rounded.rows.mutable_data_ptr());
  for_token_ranges(count, [&](Range range) {
    for (int64_t i = range.first; i < range.last; ++i) {
      const auto squares = round_row(from + i * width, width, to + i * width);
      const auto place = static_cast<size_t>(i);
      rounded.norms[place] = norm_above(squares.whole, width);
      rounded.near_norms[place] = norm_above(squares.rounded, width);
      rounded.error_norms[place] = norm_above(squares.error, width);
    }
  });
  return rounded;
}

/// Largest norm; NaN or +∞ when one is.
float largest(const std::vector<float>& norms) {
  float most = 0.0F;
  for (const float norm : norms) {
    most = std::isfinite(norm) ? std::max(most, norm) : std::numeric_limits<float>::infinity();
  }
  return most;
}

/// Entries that can be among the kept ones: CSR rows of features, ascending.
struct Survivors {
  at::Tensor offsets;  // int64 [T + 1]
  at::Tensor index;    // int32 [nnz]
};

Survivors screen_rows(const RoundedRows& inputs, const RoundedRows& weights, const at::Tensor& bias,
                      int64_t kept) {
  const int64_t tokens = inputs.rows.size(0);
  const int64_t features = weights.rows.size(0);
  const at::Tensor products = at::mm(inputs.rows, weights.rows.t());  // s, bfloat16 [T, F']
  const auto* product = static_cast<const uint16_t*>(products.const_data_ptr());
  const auto sum_rounding = static_cast<float>(weights.rows.size(1)) * 0x1p-22F;  // γ
  const at::Tensor counts = at::empty({tokens}, at::kLong);
  auto* count = counts.mutable_data_ptr<int64_t>();
  std::vector<std::vector<int32_t>> found(static_cast<size_t>(tokens));
  for_token_ranges(tokens, [&](Range range) {
    std::vector<float> scratch;
    std::vector<int32_t> places(static_cast<size_t>(features + kScreenLanes));
    for (int64_t t = range.first; t < range.last; ++t) {
      const auto token = static_cast<size_t>(t);
      const ScreenRow row{
          .products = product + t * features,
          .bias = bias.const_data_ptr<float>(),
          .norms = weights.near_norms.data(),
          .error_norms = weights.error_norms.data(),
          .count = features,
          .input_error = inputs.error_norms[token] + sum_rounding * inputs.norms[token],
          .input_norm = inputs.norms[token]};
      count[t] = screen_row(row, kept, scratch, places.data());
      found[token].assign(places.begin(), places.begin() + count[t]);
    }
  });
  Survivors survivors{.offsets = at::cat({at::zeros({1}, at::kLong), counts.cumsum(0)}),
                      .index = {}};
  const auto* offsets = survivors.offsets.const_data_ptr<int64_t>();
  survivors.index = at::empty({offsets[tokens]}, at::kInt);
  auto* index = survivors.index.mutable_data_ptr<int32_t>();
  for_token_ranges(tokens, [&](Range range) {
    for (int64_t t = range.first; t < range.last; ++t) {
      const auto& places = found[static_cast<size_t>(t)];
      std::copy(places.begin(), places.end(), index + offsets[t]);
    }
  });
  return survivors;
}

/// h of the survivors in float32, feature by feature: a weight row is read once for all tokens.
at::Tensor exact_values(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                        const Survivors& survivors) {
  const LayerCodes codes{.offsets = survivors.offsets,
                         .index = survivors.index,
                         .value = at::empty({survivors.index.size(0)}, at::kFloat)};
  const auto lists = group_by_feature(codes, codes.value, weight.size(0));
  const at::Tensor reach = at::zeros_like(codes.value);
  run_feature_passes({{.lists = lists, .rows = x, .table = weight, .reach = reach}});
  const at::Tensor products = at::empty_like(reach).index_copy_(0, lists.entry, reach);
  return products.add_(bias.index_select(0, survivors.index));
}

}  // namespace

bool screening_pays(int64_t tokens, const at::Tensor& weight) {
  static const bool fast = has_fast_bfloat16();
  const bool fits = weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16;
  return fast && fits && tokens >= kFewestTokens && weight.size(0) >= kFewestFeatures &&
         weight.size(1) >= kScreenLanes;
}

std::optional<LayerCodes> screened_topk(const at::Tensor& x, const at::Tensor& weight,
                                        const at::Tensor& bias, int64_t kept) {
  const int64_t tokens = x.size(0);
  const RoundedRows inputs = round_rows(x);
  const RoundedRows rows = round_rows(weight);
  const float product_limit = largest(inputs.norms) * largest(rows.norms);
  if (!std::isfinite(2.0F * product_limit) || !std::isfinite(bias.abs().max().item<float>())) {
    return std::nullopt;
  }
  const Survivors survivors = screen_rows(inputs, rows, bias, kept);
  const at::Tensor exact = exact_values(x, weight, bias, survivors);
  const auto* offsets = survivors.offsets.const_data_ptr<int64_t>();
  const auto* index = survivors.index.const_data_ptr<int32_t>();
  const auto* h = exact.const_data_ptr<float>();
  const at::Tensor places = at::empty({tokens, kept}, at::kInt);
  const at::Tensor values = at::empty({tokens, kept}, at::kFloat);
  const at::Tensor counts = at::empty({tokens}, at::kLong);
  auto* place = places.mutable_data_ptr<int32_t>();
  auto* value = values.mutable_data_ptr<float>();
  auto* count = counts.mutable_data_ptr<int64_t>();
  for_token_ranges(tokens, [&](Range range) {
    BestScratch<float> scratch;
    for (int64_t t = range.first; t < range.last; ++t) {
      int32_t* chosen = place + t * kept;
      const int64_t first = offsets[t];
      count[t] = best_of_row(h + first, offsets[t + 1] - first, kept, scratch, chosen);
      for (int64_t c = 0; c < count[t]; ++c) {
        const int64_t survivor = first + chosen[c];
        value[t * kept + c] = h[survivor];
        chosen[c] = index[survivor];
      }
    }
  });
  return compact_rows(places, values, counts);
}

}  // namespace crossloom::architectures::kernels
