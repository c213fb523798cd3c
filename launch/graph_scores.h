// Scores of the attribution graphs of many prompts, shared among ranks. The graphs themselves are
// not kept.
#pragma once

#include <string>
#include <vector>

#include "common/communicator.h"
#include "common/json_file.h"
#include "eval/attribute.h"
#include "launch/model_session.h"

namespace crossloom::launch {

/// Throws ConfigError naming the prompt that gives no token or too many.
void check_prompts(const std::vector<std::string>& prompts, const std::string& path,
                   const models::ModelSpec& spec, const models::Tokenizer& tokenizer);

/// {"prompts", "replacement_score", "completeness" (means), "max_row_residual", "per_prompt": […]}.
/// `folded` reads the model's own activations. Collective.
Json score_prompts(const ModelSession& session, const eval::TrainedTranscoder& folded,
                   const std::vector<std::string>& prompts, const eval::AttributionOptions& options,
                   Communicator& communicator);

}  // namespace crossloom::launch
