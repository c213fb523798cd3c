#include "trainer/flat_buffer.h"

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

void adopt_parameters(const std::vector<architectures::Parameter>& parameters, FlatBuffer& buffer) {
  for (size_t p = 0; p < parameters.size(); ++p) {
    buffer.view(p).copy_(parameters[p].value);
    parameters[p].value.set_(buffer.view(p));
  }
}

}  // namespace crossloom::trainer
