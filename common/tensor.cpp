#include "common/tensor.h"

#include "common/options.h"

namespace crossloom {

at::ScalarType compute_type(const char* key, const std::string& name) {
  require_one_of(key, name, {"float32", "bfloat16", "float64"});
  return name == "float32" ? at::kFloat : name == "bfloat16" ? at::kBFloat16 : at::kDouble;
}

}  // namespace crossloom
