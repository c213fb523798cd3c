#include "launch/trained_session.h"

#include "data/harvest.h"

namespace crossloom::launch {

ModelSession open_model_for(const eval::TrainedTranscoder& trained, const std::string& folder,
                            const std::string& type_name) {
  ModelSession session = open_model(folder, type_name);
  const auto& identity = trained.identity;
  const auto found = data::make_identity(
      folder, session.model.spec(), session.tokenizer, models::hook_from_name(identity.hook_in),
      models::hook_from_name(identity.hook_out), identity.context_len);
  data::require_same(identity, found, folder);
  return session;
}

}  // namespace crossloom::launch
