#include "models/rope.h"

#include <ATen/Parallel.h>

#include <cmath>

namespace crossloom::models {
namespace {

template <typename Real>
RopeTables tables_of(int64_t positions, int64_t head_width, double base, at::ScalarType type) {
  const int64_t half = head_width / 2;
  RopeTables tables{at::empty({positions, half}, at::TensorOptions(type)),
                    at::empty({positions, half}, at::TensorOptions(type))};
  auto* cosine = tables.cos.mutable_data_ptr<Real>();
  auto* sine = tables.sin.mutable_data_ptr<Real>();
  for (int64_t i = 0; i < half; ++i) {
    const Real exponent = static_cast<Real>(2 * i) / static_cast<Real>(head_width);
    const Real frequency = Real(1) / std::pow(static_cast<Real>(base), exponent);
    for (int64_t p = 0; p < positions; ++p) {
      const Real angle = static_cast<Real>(p) * frequency;
      cosine[p * half + i] = std::cos(angle);
      sine[p * half + i] = std::sin(angle);
    }
  }
  return tables;
}

template <typename Scalar, typename Real>
void rotate_rows(const at::Tensor& x, const RopeTables& tables, int64_t first, at::Tensor& out) {
  const int64_t heads = x.size(1);
  const int64_t half = x.size(2) / 2;
  const auto* cosine = tables.cos.const_data_ptr<Real>() + first * half;
  const auto* sine = tables.sin.const_data_ptr<Real>() + first * half;
  const auto* from = x.const_data_ptr<Scalar>();
  auto* to = out.mutable_data_ptr<Scalar>();
  const int64_t positions = x.size(0);
  const int64_t row_stride = x.stride(0);
  const int64_t head_stride = x.stride(1);
  at::parallel_for(0, positions, 16, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t h = 0; h < heads; ++h) {
        const Scalar* a = from + p * row_stride + h * head_stride;
        Scalar* b = to + (h * positions + p) * 2 * half;
        for (int64_t i = 0; i < half; ++i) {
          const Real first_half = static_cast<Real>(a[i]);
          const Real second_half = static_cast<Real>(a[i + half]);
          const Real c = cosine[p * half + i];
          const Real s = sine[p * half + i];
          b[i] = static_cast<Scalar>(first_half * c - second_half * s);
          b[i + half] = static_cast<Scalar>(second_half * c + first_half * s);
        }
      }
    }
  });
}

/// The same from ATen operations, for autograd.
at::Tensor rotate_differentiable(const at::Tensor& x, const RopeTables& tables, int64_t first) {
  const auto halves = x.transpose(0, 1).chunk(2, -1);  // [heads, S, Dh / 2] each
  const auto c = tables.cos.narrow(0, first, x.size(0));
  const auto s = tables.sin.narrow(0, first, x.size(0));
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
}

}  // namespace

RopeTables rope_tables(int64_t positions, int64_t head_width, double base, at::ScalarType type) {
  return type == at::kDouble ? tables_of<double>(positions, head_width, base, at::kDouble)
                             : tables_of<float>(positions, head_width, base, at::kFloat);
}

at::Tensor rotate(const at::Tensor& x, const RopeTables& tables, int64_t first_position) {
  CROSSLOOM_CHECK(first_position + x.size(0) <= tables.cos.size(0), "position {} of {}",
                  first_position + x.size(0), tables.cos.size(0));
  if (x.requires_grad()) {
    return rotate_differentiable(x, tables, first_position);
  }
  at::Tensor out = at::empty({x.size(1), x.size(0), x.size(2)}, x.options());
  switch (x.scalar_type()) {
    case at::kDouble:
      rotate_rows<double, double>(x, tables, first_position, out);
      break;
    case at::kBFloat16:
      rotate_rows<at::BFloat16, float>(x, tables, first_position, out);
      break;
    default:
      rotate_rows<float, float>(x, tables, first_position, out);
  }
  return out;
}

}  // namespace crossloom::models
