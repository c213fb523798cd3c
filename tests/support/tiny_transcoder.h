// A random transcoder for a tiny model: weights of order one, so that no product is lost in
// rounding.
#pragma once

#include "architectures/registry.h"
#include "common/rng.h"
#include "tests/support/tiny_model.h"

namespace crossloom::test {

inline std::unique_ptr<architectures::Transcoder> random_transcoder(
    const std::string& architecture, const architectures::TranscoderShape& shape, int64_t k,
    at::ScalarType type) {
  architectures::TranscoderOptions options;
  options.architecture = architecture;
  options.features = shape.features;
  options.k = k;
  auto transcoder = architectures::Registry::instance().create(options, shape, type);
  uint64_t key = 0;
  for (const auto& parameter : transcoder->parameters()) {
    parameter.value.copy_(
        random_tensor(Rng(11, Purpose::kTest).with(key++), parameter.value.sizes(), 0.4));
  }
  return transcoder;
}

}  // namespace crossloom::test
