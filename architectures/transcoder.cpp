#include "architectures/transcoder.h"

namespace crossloom::architectures {

std::vector<Candidates> Transcoder::propose_all(const std::vector<at::Tensor>& x,
                                                Watch watch) const {
  std::vector<Candidates> candidates;
  for (const at::Tensor& rows : x) {
    candidates.push_back(propose(std::ssize(candidates), rows, watch));
  }
  return candidates;
}

int64_t element_count(const std::vector<Parameter>& parameters) {
  int64_t count = 0;
  for (const Parameter& parameter : parameters) {
    count += parameter.value.numel();
  }
  return count;
}

const at::Tensor& find_parameter(const Transcoder& transcoder, const std::string& name) {
  for (const Parameter& parameter : transcoder.parameters()) {
    if (parameter.name == name) {
      return parameter.value;
    }
  }
  CROSSLOOM_CHECK(false, "no parameter '{}'", name);
}

}  // namespace crossloom::architectures
