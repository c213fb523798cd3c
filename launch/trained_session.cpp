#include "launch/trained_session.h"

#include "common/checkpoint_folder.h"
#include "data/harvest.h"
#include "launch/command.h"
#include "trainer/checkpoint_files.h"
#include "trainer/weights_file.h"

namespace crossloom::launch {
namespace {

constexpr const char* kRunWasTrainedOn = "The run was trained on";

[[noreturn]] void refuse_other(const std::string& what, const std::string& expected,
                               const std::string& got, const std::string& folder) {
  throw DataError({.what = what,
                   .expected = expected,
                   .got = got,
                   .where = folder,
                   .hint = "Give --model the folder of the model that the activations came from."});
}

std::string named_revision(const data::ShardIdentity& identity) {
  return fmt::format("{} (revision {})", identity.model, identity.model_revision);
}

}  // namespace

eval::TrainedTranscoder open_trained(const std::string& folder, at::ScalarType type) {
  const std::string checkpoint = find_checkpoint(folder);
  trainer::verify_checkpoint_file(checkpoint, trainer::kWeightsFile);
  return eval::open_trained_transcoder(checkpoint, type);
}

void require_host_model(const data::ShardIdentity& identity, const std::string& made,
                        const std::string& folder, const models::ModelSpec& spec,
                        const models::Tokenizer& tokenizer) {
  const auto found =
      data::make_identity(folder, spec, tokenizer, models::hook_from_name(identity.hook_in),
                          models::hook_from_name(identity.hook_out), identity.context_len);
  if (identity.model_revision != found.model_revision) {
    refuse_other(made + " another model", named_revision(identity), named_revision(found), folder);
  }
  if (identity.tokenizer_hash != found.tokenizer_hash) {
    refuse_other(made + " another tokenizer", identity.tokenizer_hash, found.tokenizer_hash,
                 folder);
  }
}

void check_host_model(const eval::TrainedTranscoder& trained, const std::string& folder) {
  require_host_model(trained.identity, kRunWasTrainedOn, folder, models::read_model_spec(folder),
                     models::Tokenizer::load(folder));
}

ModelSession open_model_for(const eval::TrainedTranscoder& trained, const std::string& folder,
                            const std::string& type_name) {
  require_set("model", folder, "model folder");
  check_host_model(trained, folder);
  return open_model(folder, type_name);
}

}  // namespace crossloom::launch
