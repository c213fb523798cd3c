// TopK per layer and token (transcoders.md 4.4): keep the K largest entries of ReLU(h); ties go to
// the lower index; only positive entries are kept, so a token may have fewer than K.
#pragma once

#include "architectures/activation.h"

namespace crossloom::architectures {

class TopK : public Activation {
 public:
  explicit TopK(int64_t k) : k_(k) {}
  Candidates propose(int64_t layer, const at::Tensor& h) const override;
  LayerCodes filter(const Candidates& merged) const override;
  std::string describe() const override;

 private:
  int64_t k_;
};

}  // namespace crossloom::architectures
