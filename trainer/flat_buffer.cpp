#include "trainer/flat_buffer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "architectures/kernels/dispatch.h"
#include "architectures/stored_weights.h"
#include "trainer/flat_kernels.h"

namespace crossloom::trainer {

FlatBuffer::FlatBuffer(const std::vector<architectures::Parameter>& parameters,
                       const FlatLayout& layout)
    : layout_(&layout) {
  const at::Tensor& first = parameters.front().value;
  whole_ = at::zeros({layout.total()},
                     first.options().dtype(architectures::computed_type(first.scalar_type())));
  for (size_t p = 0; p < parameters.size(); ++p) {
    views_.push_back(part(layout.parameter(p)).view(parameters[p].value.sizes()));
  }
}

double squared_sum(const at::Tensor& vector) {
  constexpr int64_t kPiece = 1 << 16;
  const int64_t count = vector.numel();
  std::vector<double> sums(static_cast<size_t>((count + kPiece - 1) / kPiece));
  architectures::kernels::dispatch_real(vector.scalar_type(), [&](auto real) {
    const auto* g = vector.const_data_ptr<decltype(real)>();
    at::parallel_for(0, std::ssize(sums), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i * kPiece;
        sums[static_cast<size_t>(i)] = squared_sum(g + begin, std::min(kPiece, count - begin));
      }
    });
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace crossloom::trainer
