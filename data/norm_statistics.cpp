#include "data/norm_statistics.h"

#include <cmath>
#include <span>

namespace crossloom::data {
namespace {

/// One layer's part of SideStatistics, as views.
struct LayerView {
  double& mean_norm;
  std::span<double> mean;  // [D]
  std::span<double> m2;    // [D]
};

LayerView layer_view(SideStatistics& side, size_t layer) {
  const auto width = size_t(side.width);
  return {side.mean_norm[layer], std::span(side.mean).subspan(layer * width, width),
          std::span(side.m2).subspan(layer * width, width)};
}

/// The merge formulas of the file header; counts as double.
void merge_layer(const LayerView& a, double n_a, double mean_norm_b, std::span<const double> mean_b,
                 std::span<const double> m2_b, double n_b) {
  const double n = n_a + n_b;
  for (size_t d = 0; d < a.mean.size(); ++d) {
    const double delta = mean_b[d] - a.mean[d];
    a.mean[d] += delta * (n_b / n);
    a.m2[d] += m2_b[d] + delta * delta * (n_a * n_b / n);
  }
  a.mean_norm = (n_a * a.mean_norm + n_b * mean_norm_b) / n;
}

void merge_side(SideStatistics& into, int64_t into_count, const SideStatistics& other,
                int64_t other_count) {
  CROSSLOOM_CHECK(into.mean.size() == other.mean.size() && into.width == other.width,
                  "merged statistics differ in shape");
  const auto width = size_t(into.width);
  for (size_t layer = 0; layer < into.mean_norm.size(); ++layer) {
    merge_layer(layer_view(into, layer), double(into_count), other.mean_norm[layer],
                std::span(other.mean).subspan(layer * width, width),
                std::span(other.m2).subspan(layer * width, width), double(other_count));
  }
}

/// Two passes over one layer's rows [n, D]: means and norms, then squared deviations.
/// Returns false when a value is not finite.
bool layer_of_block(const at::Tensor& rows, const LayerView& out) {
  const int64_t n = rows.size(0);
  const size_t width = out.mean.size();
  const auto* bits = reinterpret_cast<const uint16_t*>(rows.const_data_ptr());
  double norms = 0.0;
  for (int64_t row = 0; row < n; ++row) {
    const uint16_t* x = bits + size_t(row) * width;
    double squares = 0.0;
    for (size_t d = 0; d < width; ++d) {
      const auto value = double(bf16_to_float(x[d]));
      out.mean[d] += value;
      squares += value * value;
    }
    norms += std::sqrt(squares);
  }
  out.mean_norm = norms / double(n);
  for (double& mean : out.mean) {
    mean /= double(n);
  }
  for (int64_t row = 0; row < n; ++row) {
    const uint16_t* x = bits + size_t(row) * width;
    for (size_t d = 0; d < width; ++d) {
      const double delta = double(bf16_to_float(x[d])) - out.mean[d];
      out.m2[d] += delta * delta;
    }
  }
  return std::isfinite(norms);
}

void add_side(SideStatistics& into, const std::vector<at::Tensor>& rows, const char* side,
              const std::string& where) {
  for (size_t layer = 0; layer < rows.size(); ++layer) {
    check_shape(rows[layer], {-1, into.width}, side);
    CROSSLOOM_CHECK(rows[layer].scalar_type() == at::kBFloat16 && rows[layer].is_contiguous(),
                    "rows must be contiguous bfloat16");
    if (!layer_of_block(rows[layer], layer_view(into, layer))) {
      throw DataError({.what = fmt::format("The {} of layer {} are not finite", side, layer),
                       .expected = "numbers",
                       .got = "an infinity or NaN",
                       .where = where,
                       .hint = "The model's weights may be damaged, or its activations exceed the "
                               "forward pass's number range."});
    }
  }
}

SideStatistics empty_side(int64_t layers, int64_t width) {
  return {.width = width,
          .mean_norm = std::vector<double>(size_t(layers), 0.0),
          .mean = std::vector<double>(size_t(layers * width), 0.0),
          .m2 = std::vector<double>(size_t(layers * width), 0.0)};
}

}  // namespace

std::vector<double> SideStatistics::standard_deviation(int64_t count) const {
  std::vector<double> result;
  result.reserve(m2.size());
  for (const double sum : m2) {
    result.push_back(std::sqrt(sum / double(count)));
  }
  return result;
}

NormStatistics NormStatistics::empty(int64_t layers, int64_t width_in, int64_t width_out) {
  return {
      .count = 0, .inputs = empty_side(layers, width_in), .targets = empty_side(layers, width_out)};
}

void merge(NormStatistics& into, const NormStatistics& other) {
  if (other.count == 0) {
    return;
  }
  merge_side(into.inputs, into.count, other.inputs, other.count);
  merge_side(into.targets, into.count, other.targets, other.count);
  into.count += other.count;
}

void add_rows(NormStatistics& into, const Batch& rows, const std::string& where) {
  CROSSLOOM_CHECK(int64_t(rows.x.size()) == into.layers() && rows.x.size() == rows.y.size(),
                  "{} layers of rows for statistics of {}", rows.x.size(), into.layers());
  auto block = NormStatistics::empty(into.layers(), into.inputs.width, into.targets.width);
  block.count = rows.x.front().size(0);
  if (block.count == 0) {
    return;
  }
  add_side(block.inputs, rows.x, "inputs", where);
  add_side(block.targets, rows.y, "targets", where);
  merge(into, block);
}

}  // namespace crossloom::data
