// Training as the train command does it, for every command that trains. The held-out evaluation is
// passed into the trainer from here, so that trainer/ and eval/ stay apart.
#pragma once

#include "trainer/trainer.h"

namespace crossloom::launch {

/// trainer::train with the held-out reconstruction as its evaluation. Collective.
trainer::TrainSummary train_run(const trainer::TrainOptions& options, const data::ShardSet& shards,
                                Communicator& communicator);

}  // namespace crossloom::launch
