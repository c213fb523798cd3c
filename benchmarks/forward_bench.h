// How fast the host model's forward is, as a share of what the machine's GEMM reaches at the
// forward's own shapes in the same run. Bare times mean nothing on a shared machine; the ratio
// does.
//
//   FLOP per token and layer = 2·[ D(H + 2 H_kv)Dh + H·Dh·D + 3·D·I ]  +  2·S·H·Dh  (causal half of
//   q kᵀ and A v);  share = (FLOP / t_forward) / (FLOP_gemm / t_gemm), medians of interleaved runs.
#pragma once

#include <string>

#include "models/transformer.h"

namespace crossloom::benchmarks {

struct ForwardBench {
  double forward_s = 0.0;      // median, without the unembedding
  double forward_gflop = 0.0;  // per forward
  double gemm_s = 0.0;         // median of all GEMMs of one forward, with the model's own weights
  double gemm_gflop = 0.0;
  double share() const { return (forward_gflop / forward_s) / (gemm_gflop / gemm_s); }
};

/// `tokens` positions, `repeats` interleaved pairs of (forward, probe).
ForwardBench bench_forward(const models::Transformer& model, int64_t tokens, int64_t repeats);

/// A random model of the quickstart model's shape (SmolLM2-135M), for machines without the file.
models::Transformer random_model_of_quickstart_shape(at::ScalarType type);

}  // namespace crossloom::benchmarks
