// A trained transcoder opened for a command, and a host model for it: refused when a file of the
// run is damaged, or when it is not the model that the run was trained on.
#pragma once

#include "eval/trained_transcoder.h"
#include "launch/model_session.h"

namespace crossloom::launch {

/// The transcoder of a run folder or checkpoint, its weights compared with their checksum first.
/// Throws DataError.
eval::TrainedTranscoder open_trained(const std::string& folder, at::ScalarType type);

/// Throws DataError unless the model and tokenizer of `folder` are those of `identity`. `made`
/// begins the message: "The run was trained on".
void require_host_model(const data::ShardIdentity& identity, const std::string& made,
                        const std::string& folder, const models::ModelSpec& spec,
                        const models::Tokenizer& tokenizer);

/// The same for a run, before its model is loaded: reads the folder's files once, keeps none.
void check_host_model(const eval::TrainedTranscoder& trained, const std::string& folder);

/// Throws DataError as require_host_model does.
ModelSession open_model_for(const eval::TrainedTranscoder& trained, const std::string& folder,
                            const std::string& type_name);

}  // namespace crossloom::launch
