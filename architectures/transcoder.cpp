#include "architectures/transcoder.h"

namespace crossloom::architectures {

const at::Tensor& find_parameter(const Transcoder& transcoder, const std::string& name) {
  for (const Parameter& parameter : transcoder.parameters()) {
    if (parameter.name == name) {
      return parameter.value;
    }
  }
  CROSSLOOM_CHECK(false, "no parameter '{}'", name);
}

}  // namespace crossloom::architectures
