#include "launch/eval_run.h"

#include <algorithm>
#include <utility>

#include "launch/held_out.h"

namespace crossloom::launch {

data::RowSelection held_out_rows(const eval::TrainedTranscoder& trained,
                                 const data::ShardSet& shards) {
  return data::split_rows(shards, trained.loader).held_out;
}

std::unique_ptr<eval::TrainedTranscoder> open_run(const std::string& folder,
                                                  const std::string& dtype,
                                                  const data::ShardSet& shards,
                                                  Communicator& communicator) {
  std::unique_ptr<eval::TrainedTranscoder> trained;
  communicator.agree([&] {
    trained = std::make_unique<eval::TrainedTranscoder>(
        open_trained(folder, compute_type("dtype", dtype)));
    data::require_same(trained->identity, shards.identity(), shards.folder());
  });
  return trained;
}

eval::Reconstruction held_out_reconstruction(const eval::TrainedTranscoder& trained,
                                             const data::ShardSet& shards,
                                             Communicator& communicator) {
  return reconstruct_held_out(*trained.transcoder, trained.normalizer, shards,
                              held_out_rows(trained, shards), communicator);
}

std::unique_ptr<ModelSession> open_host_model(eval::TrainedTranscoder& trained,
                                              const std::string& folder, const std::string& dtype,
                                              Communicator& communicator) {
  std::unique_ptr<ModelSession> session;
  communicator.agree(
      [&] { session = std::make_unique<ModelSession>(open_model_for(trained, folder, dtype)); });
  eval::fold_normalization(trained);
  return session;
}

eval::ReplacementReport ReplacementReferences::evaluate(const ModelSession& session,
                                                        const eval::TrainedTranscoder& folded,
                                                        const data::ShardSet& shards,
                                                        int64_t windows,
                                                        Communicator& communicator) {
  const auto& model = session.model;
  auto token_windows =
      eval::windows_of_rows(shards, held_out_rows(folded, shards),
                            static_cast<models::TokenId>(model.spec().bos_id), windows);
  auto found = std::find_if(made_.begin(), made_.end(), [&](const auto& reference) {
    return reference.serves(model.type(), token_windows, folded.target_mean);
  });
  if (found == made_.end()) {
    made_.emplace_back(model, std::move(token_windows), folded.target_mean, communicator);
    found = made_.end() - 1;
  }
  return found->evaluate(model, folded, communicator);
}

}  // namespace crossloom::launch
