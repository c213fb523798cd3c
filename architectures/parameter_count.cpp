#include "architectures/parameter_count.h"

#include <algorithm>

namespace crossloom::architectures {
namespace {

/// (source, target) pairs with a decoder of their own; −1: unknown topology.
int64_t decoder_tables(const std::string& topology, int64_t layers, int64_t window) {
  if (topology == "clt") {
    int64_t pairs = 0;
    for (int64_t layer = 0; layer < layers; ++layer) {
      pairs += window < 0 ? layers - layer : std::min(layers - layer, window + 1);
    }
    return pairs;
  }
  for (const char* per_layer : {"plt", "clt-incremental", "clt-source-tied",
                                "clt-incremental-affine", "clt-source-tied-affine"}) {
    if (topology == per_layer) {
      return layers;
    }
  }
  return -1;
}

/// −1: unknown activation.
int64_t thresholds(const std::string& activation, int64_t layers, int64_t features) {
  if (activation == "jumprelu") {
    return layers * features;
  }
  if (activation == "batchtopk") {
    return layers;
  }
  return activation == "topk" || activation == "relu" ? 0 : -1;
}

}  // namespace

int64_t parameter_count(const TranscoderOptions& options, const TranscoderShape& shape) {
  const Registry::Row& row = Registry::instance().row(options.architecture);
  const int64_t tables = decoder_tables(row.topology, shape.layers, options.window);
  const int64_t own = thresholds(row.activation, shape.layers, shape.features);
  if (tables < 0 || own < 0) {
    return element_count(Registry::instance().create(options, shape, at::kFloat)->parameters());
  }
  const int64_t matrix = shape.width * shape.features;
  const int64_t biases = shape.layers * (shape.features + shape.width);
  const int64_t skip = row.skip ? shape.layers * shape.width * shape.width : 0;
  const int64_t pairs = shape.layers * (shape.layers + 1) / 2;
  const int64_t affine = row.topology.ends_with("-affine") ? 2 * pairs * shape.features : 0;
  return (shape.layers + tables) * matrix + biases + own + affine + skip;
}

}  // namespace crossloom::architectures
