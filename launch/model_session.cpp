#include "launch/model_session.h"

#include "common/error.h"
#include "launch/command.h"

namespace crossloom::launch {

ModelSession open_model(const std::string& folder, const std::string& type_name) {
  require_set("model", folder, "model folder");
  const auto type = compute_type("dtype", type_name);
  auto tokenizer = models::Tokenizer::load(folder);
  auto model = models::Transformer::load(folder, type);
  if (tokenizer.vocabulary_size() > model.spec().vocabulary) {
    throw DataError({.what = "The tokenizer and the model do not belong together",
                     .expected = fmt::format("at most {} tokens", model.spec().vocabulary),
                     .got = fmt::format("{} tokens", tokenizer.vocabulary_size()),
                     .where = folder,
                     .hint = "Use the tokenizer.json that came with the model."});
  }
  return {std::move(model), std::move(tokenizer)};
}

std::vector<models::TokenId> prompt_ids(const ModelSession& session, const std::string& prompt) {
  const auto ids = session.tokenizer.encode(prompt);
  if (ids.empty()) {
    throw ConfigError({.what = "The prompt is empty",
                       .expected = "text that gives at least one token",
                       .got = prompt.empty() ? "nothing" : "only bytes the tokenizer drops",
                       .where = "--prompt",
                       .hint = "Give a prompt, e.g. --prompt \"The capital of France is\"."});
  }
  return models::with_bos(ids, session.tokenizer,
                          static_cast<models::TokenId>(session.model.spec().bos_id));
}

}  // namespace crossloom::launch
