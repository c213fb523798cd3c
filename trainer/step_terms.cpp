#include "trainer/step_terms.h"

#include <algorithm>

#include "architectures/losses.h"
#include "trainer/schedule.h"

namespace crossloom::trainer {

StepTerms step_terms(const architectures::Transcoder& transcoder, const TrainOptions& options,
                     const std::vector<int64_t>& prefixes, const std::vector<double>& energies,
                     const at::Tensor& dead, int64_t step) {
  const auto& shape = transcoder.shape();
  const auto tokens = static_cast<double>(options.loader.batch_tokens);
  StepTerms terms;
  terms.prefixes = prefixes;
  const auto groups = static_cast<double>(prefixes.size() + 1);
  for (const double energy : energies) {
    terms.denominators.push_back(
        groups * architectures::loss_denominator(options.reconstruction, energy,
                                                 options.loader.batch_tokens, shape.width));
  }
  const double weight = sparsity_weight_at(options.sparsity, step, options.steps);
  const auto type = transcoder.type();
  std::vector<at::Tensor> norms;  // [L] of [F]
  const bool penalised = weight > 0.0;
  const bool pulls = options.pre_activation.weight > 0.0;
  if (penalised || (pulls && options.pre_activation.norm_weighted)) {
    for (const at::Tensor& squares : transcoder.decoder_square_norms({0, shape.width})) {
      norms.push_back(squares.sqrt().to(type));
    }
  }
  const std::vector<at::Tensor> ones(static_cast<size_t>(shape.layers),
                                     at::ones({shape.features}, type));
  if (penalised) {
    const bool plain = options.sparsity.norms == "none";
    terms.norms = plain ? ones : norms;
    terms.through_norms = options.sparsity.through_norms && !plain;
    terms.sparsity_weight = weight / tokens;
    terms.sparsity_scale = options.sparsity.scale;
  }
  const auto& pull = options.pre_activation;
  for (int64_t l = 0; pulls && l < shape.layers; ++l) {
    const at::Tensor all =
        (pull.norm_weighted ? norms : ones)[static_cast<size_t>(l)] * (pull.weight / tokens);
    terms.silent_pull.push_back(pull.dead_only ? all * dead[l] : all);
  }
  if (pulls && pull.norm_weighted && pull.through_norms) {
    terms.pull_norms = norms;
  }
  return terms;
}

bool wants_auxk(const TrainOptions& options, const at::Tensor& dead) {
  return options.auxk.k > 0 && dead.any().item<bool>();
}

architectures::AuxKTerm auxk_term(const TrainOptions& options, const at::Tensor& dead,
                                  const std::vector<double>& energies) {
  architectures::AuxKTerm term{.dead = dead, .kept = options.auxk.k};
  const at::Tensor counts = dead.sum(1).to(at::kDouble);  // [L]
  for (size_t l = 0; l < energies.size(); ++l) {
    const double share =
        counts[static_cast<int64_t>(l)].item<double>() / static_cast<double>(options.auxk.k);
    term.weights.push_back(
        energies[l] > 0.0 ? options.auxk.weight * std::min(share, 1.0) / energies[l] : 0.0);
  }
  return term;
}

}  // namespace crossloom::trainer
