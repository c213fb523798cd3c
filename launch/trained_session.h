// A host model opened for a trained transcoder: refused when it is not the one it was trained on.
#pragma once

#include "eval/trained_transcoder.h"
#include "launch/model_session.h"

namespace crossloom::launch {

/// Throws DataError naming the first difference (model, tokenizer, hooks, BOS policy).
void require_host_model(const data::ShardIdentity& identity, const std::string& folder,
                        const models::ModelSpec& spec, const models::Tokenizer& tokenizer);

/// Throws DataError as require_host_model does.
ModelSession open_model_for(const eval::TrainedTranscoder& trained, const std::string& folder,
                            const std::string& type_name);

}  // namespace crossloom::launch
