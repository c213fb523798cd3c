// Weights by name from a Hugging Face folder: one model.safetensors, or shards listed in
// model.safetensors.index.json. Checks every shape against the spec before the first product.
#pragma once

#include <string>

#include "models/transformer.h"

namespace crossloom::models {

/// Loads and converts to `type`. Throws DataError naming file, tensor, expected and found shape.
ModelWeights load_weights(const std::string& folder, const ModelSpec& spec, at::ScalarType type);

}  // namespace crossloom::models
