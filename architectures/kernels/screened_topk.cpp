#include "architectures/kernels/screened_topk.h"

#include <ATen/ops/mm.h>

#include <cmath>
#include <limits>

#include "architectures/best_of_row.h"
#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/screen.h"
#include "architectures/row_selection.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kFewestTokens = 64;  // below, rounding the weights costs more than it saves
constexpr int64_t kFewestFeatures = 64;

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

/// The survivors of one row at a time, and the best of them. Weights are Stored.
template <typename Stored>
class RowScreen {
 public:
  RowScreen(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t kept)
      : x_(x.const_data_ptr<float>()),
        weight_(stored_data<Stored>(weight)),
        bias_(bias.const_data_ptr<float>()),
        count_(weight.size(0)),
        width_(weight.size(1)),
        kept_(kept),
        survivors_(static_cast<size_t>(count_ + kScreenLanes)) {}

  /// Places, ascending, and values of token t's entries. Returns how many.
  int64_t best(const ScreenRow& row, int64_t t, int32_t* places, float* values) {
    const int64_t found = screen_row(row, kept_, scratch_, survivors_.data());
    exact_.resize(static_cast<size_t>(found));
    for (size_t j = 0; j < exact_.size(); ++j) {
      exact_[j] = bias_[survivors_[j]];
    }
    gather_dot(found, survivors_.data(), weight_, width_, width_, x_ + t * width_, exact_.data());
    const int64_t chosen = best_of_row(exact_.data(), found, kept_, heap_, places);
    for (int64_t c = 0; c < chosen; ++c) {
      const auto survivor = static_cast<size_t>(places[c]);
      values[c] = exact_[survivor];
      places[c] = survivors_[survivor];
    }
    return chosen;
  }

 private:
  const float* x_;
  const Stored* weight_;
  const float* bias_;
  int64_t count_;
  int64_t width_;
  int64_t kept_;
  std::vector<int32_t> survivors_;
  std::vector<float> scratch_;
  std::vector<float> exact_;
  std::vector<Candidate<float>> heap_;
};

}  // namespace

bool screening_pays(int64_t tokens, const at::Tensor& weight) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("avx512bf16") != 0;
#else
  static const bool fast = false;
#endif
  const bool fits = weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16;
  return fast && fits && tokens >= kFewestTokens && weight.size(0) >= kFewestFeatures &&
         weight.size(1) >= kScreenLanes;
}

std::optional<LayerCodes> screened_topk(const at::Tensor& x, const at::Tensor& weight,
                                        const at::Tensor& bias, int64_t kept) {
  const int64_t tokens = x.size(0);
  const int64_t features = weight.size(0);
  const RoundedRows inputs = round_rows(x);
  const RoundedRows rows = round_rows(weight);
  const float product_limit = largest(inputs.norms) * largest(rows.norms);
  if (!std::isfinite(2.0F * product_limit) || !std::isfinite(bias.abs().max().item<float>())) {
    return std::nullopt;
  }
  const at::Tensor products = at::mm(inputs.rows, rows.rows.t());  // s, bfloat16 [T, F']
  const auto* product = static_cast<const uint16_t*>(products.const_data_ptr());
  const at::Tensor places = at::empty({tokens, kept}, at::kInt);
  const at::Tensor values = at::empty({tokens, kept}, at::kFloat);
  const at::Tensor counts = at::empty({tokens}, at::kLong);
  auto* place = places.mutable_data_ptr<int32_t>();
  auto* value = values.mutable_data_ptr<float>();
  auto* count = counts.mutable_data_ptr<int64_t>();
  const float sum_rounding = static_cast<float>(weight.size(1)) * 0x1p-22F;  // γ
  const auto screen_all = [&](auto stored) {
    for_token_ranges(tokens, [&](Range range) {
      RowScreen<decltype(stored)> screen(x, weight, bias, kept);
      for (int64_t t = range.first; t < range.last; ++t) {
        const auto token = static_cast<size_t>(t);
        const ScreenRow row{
            .products = product + t * features,
            .bias = bias.const_data_ptr<float>(),
            .norms = rows.near_norms.data(),
            .error_norms = rows.error_norms.data(),
            .count = features,
            .input_error = inputs.error_norms[token] + sum_rounding * inputs.norms[token],
            .input_norm = inputs.norms[token]};
        count[t] = screen.best(row, t, place + t * kept, value + t * kept);
      }
    });
  };
  if (weight.scalar_type() == at::kBFloat16) {
    screen_all(bfloat16_t{});
  } else {
    screen_all(float{});
  }
  return compact_rows(places, values, counts);
}

}  // namespace crossloom::architectures::kernels
