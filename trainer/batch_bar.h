// BatchTopK over all ranks: the value of the last kept entry of every layer, from the candidates of
// all token shards.
//
//   bar_l = the K·T-th largest candidate value of layer l over the global batch; 0 when there are
//           fewer: then all are kept
//
// Every shard sends its K·T largest values, so the bar is exact and does not depend on how the
// batch is cut.
#pragma once

#include <vector>

#include "architectures/codes.h"
#include "trainer/exchange.h"

namespace crossloom::trainer {

/// candidates[j][l] of this rank's shards; `kept` is K·T. Collective. Returns [L].
std::vector<double> batch_bars(
    const std::vector<const std::vector<architectures::Candidates>*>& candidates, int64_t kept,
    const Exchange& exchange);

}  // namespace crossloom::trainer
