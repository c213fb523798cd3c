// Synthetic activations with a known sparse structure, for tests and benchmarks: what a transcoder
// can learn, without a host model.
//
// G features; feature g is read in layer s(g) = g mod L. A row has K of them active, with strengths
// a in [1, 2):
//   x_l = Σ_{active g, s(g) = l} a_g · e_g + noise     y_m = Σ_{active g, s(g) ≤ m} a_g · d_{g,m}
// with e_g, d_{g,m} standard normal / √D. A row is a function of (seed, row) alone.
//
// `writes` plants another structure, one for each family of transcoders: own (s(g) = m only),
// target (d depends on m and on g's number within its layer), source (d depends on g alone);
// `linear` adds S_m x_m with S_m standard normal / √D, what a skip can learn.
#pragma once

#include <cstdint>
#include <string>

#include "data/batch.h"
#include "data/shard_identity.h"

namespace crossloom::data {

struct SyntheticOptions {
  int64_t layers = 3;     // L
  int64_t width = 16;     // D
  int64_t rows = 256;     // of the whole cache
  int64_t features = 24;  // G
  int64_t active = 4;     // K
  int64_t shards = 2;
  int64_t chunk_rows = 16;
  int64_t document_rows = 20;  // rows of a document
  double noise = 0.01;
  std::string writes = "all";  // "own", "target", "source"
  bool linear = false;
  uint64_t seed = 1;
};

ShardIdentity synthetic_identity(const SyntheticOptions& options);

/// e_g, what feature g puts into its layer's input: float32 [G, D].
at::Tensor synthetic_readers(const SyntheticOptions& options);
/// d_{g,m}, what it writes to target m: float32 [G, D], zero rows where it does not.
at::Tensor synthetic_writers(const SyntheticOptions& options, int64_t target);
/// S_m: float32 [D, D], as y_m += x_m S_m; zeros unless `linear`.
at::Tensor synthetic_linear(const SyntheticOptions& options, int64_t target);

/// Rows [first, first + count) of the cache.
Batch synthetic_rows(const SyntheticOptions& options, int64_t first, int64_t count);

/// Writes a complete cache folder (shards and manifest). Throws DataError.
void write_synthetic_cache(const std::string& folder, const SyntheticOptions& options);

}  // namespace crossloom::data
