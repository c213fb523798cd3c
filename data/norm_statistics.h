// Statistics of the activations, per layer and side, that merge exactly over blocks, shards and
// ranks (float64 throughout):
//
//   n, μ [D] = mean, M2 [D] = Σ (x − μ)²  (std = √(M2/n)),  m = mean of ‖x‖₂
//   merge a, b:  n = n_a + n_b,  δ = μ_b − μ_a,  μ = μ_a + δ·n_b/n,
//                M2 = M2_a + M2_b + δ²·n_a·n_b/n,  m = (n_a·m_a + n_b·m_b)/n
//
// They cover every stored row; position 0 is stored nowhere, so it is in no statistic either.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/batch.h"

namespace crossloom::data {

/// One side (inputs or targets) of all layers.
struct SideStatistics {
  int64_t width = 0;              // D
  std::vector<double> mean_norm;  // [L]
  std::vector<double> mean;       // [L, D]
  std::vector<double> m2;         // [L, D]

  std::vector<double> standard_deviation(int64_t count) const;  // [L, D]
};

struct NormStatistics {
  int64_t count = 0;  // rows, the same for every layer and side
  SideStatistics inputs, targets;

  int64_t layers() const { return int64_t(inputs.mean_norm.size()); }
  /// Zero rows.
  static NormStatistics empty(int64_t layers, int64_t width_in, int64_t width_out);
};

/// `into` = statistics of both together.
void merge(NormStatistics& into, const NormStatistics& other);

/// Adds a block of rows; x, y bf16 [n, D]. Throws DataError naming layer and side when a value is
/// not finite; `where` says what the rows belong to. O(n·L·D).
void add_rows(NormStatistics& into, const Batch& rows, const std::string& where);

}  // namespace crossloom::data
