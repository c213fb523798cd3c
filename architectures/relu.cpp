#include "architectures/relu.h"

#include "architectures/row_selection.h"

namespace crossloom::architectures {

Candidates Relu::propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                         Watch /*watch*/) const {
  return positive_rows(layer, h, first_feature);
}

std::string Relu::describe() const {
  return "ReLU: a = max(h, 0)";
}

}  // namespace crossloom::architectures
