#include "architectures/kernels/byte_frame.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "architectures/kernels/byte_rows.h"
#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/reductions.h"
#include "architectures/kernels/scratch.h"
#include "architectures/stored_weights.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kSampleRows = 64;  // of either side, for the frame
constexpr double kSmallest = 1e-3;   // of a column's root mean square, as a part of all columns'

/// At most kSampleRows rows of a matrix, evenly apart, in float32.
at::Tensor sample(const at::Tensor& rows) {
  const int64_t apart = std::max<int64_t>(1, (rows.size(0) + kSampleRows - 1) / kSampleRows);
  return computed(rows.slice(0, 0, rows.size(0), apart)).contiguous();
}

/// Root mean square of each column, none much smaller than those of all; float64 [D].
at::Tensor column_sizes(const at::Tensor& rows) {
  const at::Tensor squares = column_sums(rows.square()).div_(static_cast<double>(rows.size(0)));
  return squares.sqrt().clamp_min(kSmallest * std::sqrt(squares.mean().item<double>()));
}

/// √ of a float32 sum of `width` squares, rounded up, also where squares were too small for
/// float32.
float norm_above(float squares, int64_t width) {
  const auto count = static_cast<float>(width);
  const float lost = count * std::numeric_limits<float>::min();
  return std::sqrt(squares + lost) * (1.0F + count * 0x1p-23F);
}

/// `shift` is added to every byte, the padding's, too.
ByteRows rows_to_bytes(const at::Tensor& rows, const at::Tensor& centre, const at::Tensor& scale,
                       const at::Tensor& direction, uint8_t shift) {
  CROSSLOOM_CHECK(rows.stride(1) == 1, "columns must be contiguous");
  const int64_t width = rows.size(1);
  const int64_t padded = (width + 3) / 4 * 4;
  const auto n = static_cast<size_t>(rows.size(0));
  ByteRows result{.rows = at::empty({rows.size(0), padded}, at::kChar),
                  .steps = std::vector<float>(n),
                  .norms = std::vector<float>(n),
                  .error_norms = std::vector<float>(n),
                  .products = std::vector<float>(n)};
  const RowGrid grid{.centre = centre.const_data_ptr<float>(),
                     .scale = scale.const_data_ptr<float>(),
                     .direction = direction.const_data_ptr<float>()};
  auto* bytes = result.rows.mutable_data_ptr<int8_t>();
  const auto convert = [&](const auto* from) {
    for_token_ranges(rows.size(0), [&](Range range) {
      thread_local Scratch<float> values;
      float* room = values.of_size(width);
      for (int64_t i = range.first; i < range.last; ++i) {
        int8_t* to = bytes + i * padded;
        const ByteRow row = row_to_bytes(from + i * rows.stride(0), grid, width, room, to);
        std::fill(to + width, to + padded, int8_t{0});
        std::transform(to, to + padded, to,
                       [&](int8_t byte) { return static_cast<int8_t>(byte + shift); });
        const auto place = static_cast<size_t>(i);
        result.steps[place] = row.step;
        result.norms[place] = norm_above(std::max(row.whole, row.near), width);
        result.error_norms[place] = norm_above(row.error, width);
        result.products[place] = row.product;
      }
    });
  };
  if (rows.scalar_type() == at::kBFloat16) {
    convert(stored_data<bfloat16_t>(rows));
  } else {
    convert(rows.const_data_ptr<float>());
  }
  return result;
}

}  // namespace

ByteFrame byte_frame(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor inputs = sample(x);
  const at::Tensor centre = column_sums(inputs).div_(static_cast<double>(inputs.size(0)));
  const at::Tensor spread = column_sizes(inputs - centre.to(at::kFloat));
  const at::Tensor ratio = column_sizes(sample(weight)) / spread;
  const at::Tensor usable = ratio.gt(0.0).logical_and(ratio.isfinite());
  const at::Tensor scale = at::where(usable, ratio.sqrt(), at::ones_like(ratio));
  return {.centre = centre.to(at::kFloat),
          .scale = scale.to(at::kFloat),
          .inverse_scale = scale.reciprocal().to(at::kFloat),
          .scaled_centre = (centre * scale).to(at::kFloat)};
}

ByteRows input_bytes(const at::Tensor& x, const ByteFrame& frame) {
  return rows_to_bytes(x, frame.centre, frame.scale, frame.scaled_centre, 0);
}

ByteRows weight_bytes(const at::Tensor& weight, const ByteFrame& frame) {
  return rows_to_bytes(weight, at::zeros_like(frame.centre), frame.inverse_scale,
                       frame.scaled_centre, 128);
}

}  // namespace crossloom::architectures::kernels
