#include "launch/train_run.h"

#include "launch/held_out.h"

namespace crossloom::launch {

trainer::TrainSummary train_run(const trainer::TrainOptions& options, const data::ShardSet& shards,
                                Communicator& communicator) {
  const auto split = data::split_rows(shards, options.loader);
  trainer::Evaluate evaluate;
  if (split.held_out.size() > 0) {
    evaluate = [&](const architectures::Transcoder& transcoder,
                   const data::Normalizer& normalizer) {
      return reconstruct_held_out(transcoder, normalizer, shards, split.held_out, communicator)
          .to_json();
    };
  }
  return trainer::train(options, shards, communicator, evaluate);
}

}  // namespace crossloom::launch
