// Tanh sparsity penalty of the ReLU and JumpReLU types (transcoders.md 6.2, 7):
//
//   Loss_s = w · Σ_l Σ_{t,i} tanh(u),   u = c · n_i · a_{t,i},   w = λ / T
//   ∂/∂a_{t,i} = w · c · n_i · sech²(u)
//   ∂/∂n_i     = w · Σ_t c · a_{t,i} · sech²(u),   ∂n_i/∂W_dec,i = W_dec,i / n_i, 0 where n_i = 0
//
// n_i is the norm of the concatenation of feature i's decoder vectors, or 1. Entries of value 0
// that are watched (codes.h) have a gradient as well: c · n_i · w.
#pragma once

#include <vector>

#include "architectures/codes.h"

namespace crossloom::architectures {

struct SparsityTerm {
  double loss = 0.0;
  CodeGradients value_grad;           // [L] of [nnz]
  std::vector<at::Tensor> norm_grad;  // [L] of [F]: ∂Loss/∂n_i / n_i, for decode_backward
};

/// norms [L] of real [F]; `through_norms`: also the gradient into the norms (else norm_grad is
/// empty).
SparsityTerm tanh_penalty(const Codes& codes, const std::vector<at::Tensor>& norms, double weight,
                          double scale, bool through_norms);

/// norm_grad of two terms together; either may be empty.
std::vector<at::Tensor> sum_of_norm_gradients(std::vector<at::Tensor> one,
                                              const std::vector<at::Tensor>& other);

}  // namespace crossloom::architectures
