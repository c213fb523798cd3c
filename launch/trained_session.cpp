#include "launch/trained_session.h"

#include "data/harvest.h"

namespace crossloom::launch {

void require_host_model(const data::ShardIdentity& identity, const std::string& folder,
                        const models::ModelSpec& spec, const models::Tokenizer& tokenizer) {
  const auto found =
      data::make_identity(folder, spec, tokenizer, models::hook_from_name(identity.hook_in),
                          models::hook_from_name(identity.hook_out), identity.context_len);
  data::require_same(identity, found, folder);
}

ModelSession open_model_for(const eval::TrainedTranscoder& trained, const std::string& folder,
                            const std::string& type_name) {
  ModelSession session = open_model(folder, type_name);
  require_host_model(trained.identity, folder, session.model.spec(), session.tokenizer);
  return session;
}

}  // namespace crossloom::launch
