// The K largest positive entries of a row of numbers: the one rule of selection, for whole rows of
// pre-activations, merged candidates and survivors of a screen. Larger values first, ties to the
// lower index, so that a selection depends neither on rank count nor on kernel.
//
// Two passes: the K-th largest value v (only what exceeds the K-th largest so far is looked at;
// after a few hundred entries that is rare), then the places of what exceeds v, and of the first
// ones that equal it.
#pragma once

#include <cstdint>
#include <vector>

namespace crossloom::architectures::kernels {

/// Kept from row to row; grows as needed.
template <typename Real>
struct BestScratch {
  std::vector<Real> values;
  std::vector<int32_t> places;
};

/// Places of the best `kept` positive entries of row [n] (no NaN), ascending, into `places`;
/// returns how many. kept ≥ 1.
int64_t best_of_row(const float* row, int64_t n, int64_t kept, BestScratch<float>& scratch,
                    int32_t* places);
int64_t best_of_row(const double* row, int64_t n, int64_t kept, BestScratch<double>& scratch,
                    int32_t* places);

}  // namespace crossloom::architectures::kernels
