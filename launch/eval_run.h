// Evaluation as the eval command does it, for every command that evaluates: a run opened beside its
// shards, held-out reconstruction, the replacement model on held-out windows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/shard_set.h"
#include "eval/reconstruction.h"
#include "eval/replacement.h"
#include "launch/trained_session.h"

namespace crossloom::launch {

/// Rows of the documents that the run never saw.
data::RowSelection held_out_rows(const eval::TrainedTranscoder& trained,
                                 const data::ShardSet& shards);

/// A run folder's or checkpoint's transcoder. Collective. Throws DataError, also when `shards` come
/// from another model.
std::unique_ptr<eval::TrainedTranscoder> open_run(const std::string& folder,
                                                  const std::string& dtype,
                                                  const data::ShardSet& shards,
                                                  Communicator& communicator);

/// On the rows that the run held out. Collective. Throws trainer::Diverged for weights that are not
/// finite.
eval::Reconstruction held_out_reconstruction(const eval::TrainedTranscoder& trained,
                                             const data::ShardSet& shards,
                                             Communicator& communicator);

/// The host model of the run; folds the transcoder's normalisation. Collective. Throws DataError
/// when it is another model.
std::unique_ptr<ModelSession> open_host_model(eval::TrainedTranscoder& trained,
                                              const std::string& folder, const std::string& dtype,
                                              Communicator& communicator);

/// References that serve several transcoders of one host model, made when first asked for.
class ReplacementReferences {
 public:
  /// On at most `windows` windows of the rows that the run held out; `folded` by open_host_model.
  /// Collective.
  eval::ReplacementReport evaluate(const ModelSession& session,
                                   const eval::TrainedTranscoder& folded,
                                   const data::ShardSet& shards, int64_t windows,
                                   Communicator& communicator);

 private:
  std::vector<eval::ReplacementReference> made_;
};

}  // namespace crossloom::launch
