#include "trainer/flat_buffer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "architectures/kernels/dispatch.h"
#include "trainer/flat_kernels.h"

namespace crossloom::trainer {
namespace {
constexpr int64_t kBlockUnit = 64;  // elements: keeps blocks aligned for vector loops
}

FlatBuffer::FlatBuffer(const std::vector<architectures::Parameter>& parameters, int64_t blocks)
    : blocks_(blocks) {
  int64_t total = 0;
  for (const auto& parameter : parameters) {
    total += parameter.value.numel();
  }
  const int64_t unit = blocks * kBlockUnit;
  block_size_ = (total + unit - 1) / unit * kBlockUnit;
  whole_ = at::zeros({blocks * block_size_}, parameters.front().value.options());
  int64_t offset = 0;
  for (const auto& parameter : parameters) {
    const int64_t count = parameter.value.numel();
    views_.push_back(whole_.narrow(0, offset, count).view(parameter.value.sizes()));
    if (!stretches_.empty() && stretches_.back().end == offset &&
        stretches_.back().training == parameter.training) {
      stretches_.back().end += count;
    } else if (parameter.training != architectures::Training::kFixed) {
      stretches_.push_back({offset, offset + count, parameter.training});
    }
    offset += count;
  }
}

double squared_sum(const at::Tensor& block) {
  constexpr int64_t kPiece = 1 << 16;
  const int64_t count = block.numel();
  std::vector<double> sums(static_cast<size_t>((count + kPiece - 1) / kPiece));
  architectures::kernels::dispatch_real(block.scalar_type(), [&](auto real) {
    const auto* g = block.const_data_ptr<decltype(real)>();
    at::parallel_for(0, std::ssize(sums), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i * kPiece;
        sums[static_cast<size_t>(i)] = squared_sum(g + begin, std::min(kPiece, count - begin));
      }
    });
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void adopt_parameters(const std::vector<architectures::Parameter>& parameters, FlatBuffer& buffer) {
  for (size_t p = 0; p < parameters.size(); ++p) {
    buffer.view(p).copy_(parameters[p].value);
    parameters[p].value.set_(buffer.view(p));
  }
}

}  // namespace crossloom::trainer
