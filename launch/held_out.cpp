#include "launch/held_out.h"

#include <cmath>

#include "trainer/guard.h"

namespace crossloom::launch {
namespace {

void require_finite_weights(const architectures::Transcoder& transcoder) {
  for (const auto& parameter : transcoder.parameters()) {
    const double sum = parameter.value.sum().item<double>();  // finite only if every element is
    if (!std::isfinite(sum)) {
      throw trainer::Diverged({.what = "The trained weights are not finite",
                               .expected = "finite numbers",
                               .got = fmt::format("a sum of {}", sum),
                               .where = parameter.name,
                               .hint = "Training has diverged: use a lower adam.learning_rate or "
                                       "clip gradients, adam.clip_norm 1."});
    }
  }
}

}  // namespace

eval::Reconstruction reconstruct_held_out(const architectures::Transcoder& transcoder,
                                          const data::Normalizer& normalizer,
                                          const data::ShardSet& shards,
                                          const data::RowSelection& held_out,
                                          Communicator& communicator) {
  require_finite_weights(transcoder);
  return eval::evaluate_reconstruction(transcoder, normalizer, shards, held_out, communicator);
}

}  // namespace crossloom::launch
