#include "launch/graph_scores.h"

#include <algorithm>

#include "common/error.h"
#include "common/mean.h"
#include "common/progress.h"
#include "eval/scores.h"
#include "models/generate.h"

namespace crossloom::launch {
void check_prompts(const std::vector<std::string>& prompts, const std::string& path,
                   const models::ModelSpec& spec, const models::Tokenizer& tokenizer) {
  for (const auto& prompt : prompts) {
    const auto tokens = static_cast<int64_t>(tokenizer.encode(prompt).size());
    if (tokens == 0 || tokens >= spec.context) {
      throw ConfigError({.what = "A prompt does not fit the model",
                         .expected = fmt::format("1 to {} tokens", spec.context - 1),
                         .got = fmt::format("{} tokens: {:?}", tokens, prompt.substr(0, 60)),
                         .where = path,
                         .hint = "Change or remove the prompt."});
    }
  }
}

Json score_prompts(const ModelSession& session, const eval::TrainedTranscoder& folded,
                   const std::vector<std::string>& prompts, const eval::AttributionOptions& options,
                   Communicator& communicator) {
  const size_t count = prompts.size();
  // Every rank fills in its own prompts; the rest stays zero until the sum over ranks.
  std::vector<double> replacement(count), completeness(count), residual(count);
  communicator.agree([&] {
    const auto ranks = static_cast<size_t>(communicator.size());
    Progress progress("graphs", static_cast<int64_t>(count), "prompts");
    for (auto p = static_cast<size_t>(communicator.rank()); p < count; p += ranks) {
      const auto tokens = models::token_tensor(prompt_ids(session, prompts[p]));
      const auto graph = eval::attribute(session.model, session.tokenizer, folded, tokens, options);
      const auto scores = eval::score_graph(graph.matrix);
      replacement[p] = scores.replacement;
      completeness[p] = scores.completeness;
      residual[p] = graph.max_residual;
      progress.update(static_cast<int64_t>(std::min(p + ranks, count)));
    }
  });
  for (auto* values : {&replacement, &completeness, &residual}) {
    communicator.all_reduce(values->data(), static_cast<int64_t>(count), DType::kF64,
                            ReduceOp::kSum);
  }
  Json each = Json::array();
  for (size_t p = 0; p < count; ++p) {
    each.push_back({{"prompt", prompts[p]},
                    {"replacement_score", replacement[p]},
                    {"completeness", completeness[p]},
                    {"max_row_residual", residual[p]}});
  }
  return {{"prompts", count},
          {"replacement_score", mean(replacement)},
          {"completeness", mean(completeness)},
          {"max_row_residual", *std::max_element(residual.begin(), residual.end())},
          {"per_prompt", each}};
}

}  // namespace crossloom::launch
