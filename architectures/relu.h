// ReLU: a = max(h, 0); every positive entry is a code (transcoders.md 4.2).
#pragma once

#include "architectures/activation.h"

namespace crossloom::architectures {

class Relu final : public Activation {
 public:
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                     Watch watch) const override;
  std::string describe() const override;
};

}  // namespace crossloom::architectures
