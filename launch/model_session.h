// A model with its tokenizer, opened for a command; the one way prompts become token ids.
#pragma once

#include <string>
#include <vector>

#include "models/tokenizer.h"
#include "models/transformer.h"

namespace crossloom::launch {

struct ModelSession {
  models::Transformer model;
  models::Tokenizer tokenizer;
};

/// `type_name` is float32, bfloat16 or float64. Throws DataError, also when the tokenizer knows
/// more ids than the model.
ModelSession open_model(const std::string& folder, const std::string& type_name);

/// Text → ids by the one BOS rule. Throws ConfigError for a prompt without any token of its own.
std::vector<models::TokenId> prompt_ids(const ModelSession& session, const std::string& prompt);

}  // namespace crossloom::launch
