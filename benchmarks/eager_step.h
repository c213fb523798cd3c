// The step that a PyTorch user writes, in the same ATen calls: linear → ReLU → topk →
// embedding_bag per (source, target) pair → FVU → autograd → Adam. ReLU and JumpReLU types go
// through dense products; thresholds learn by a term of value 0 whose derivative is the
// rectangle's. Nothing here is tuned, and nothing is made slow on purpose: it is what the fast step
// is compared with, and it computes the same loss (checked before anything is timed).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "architectures/registry.h"
#include "trainer/train_options.h"

namespace crossloom::benchmarks {

class EagerStep {
 public:
  /// Starts from copies of the transcoder's parameters; nothing of it is kept.
  EagerStep(const architectures::Transcoder& transcoder, const trainer::TrainOptions& options);

  /// x, y [L] of float32 [T, D]; `step` counts from 1. Updates the parameters, returns the loss.
  double run(const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y, int64_t step);

 private:
  struct Leaf {
    at::Tensor value, m, v;
  };
  /// Active features of one layer: as lists of K, or as a matrix.
  struct Active {
    at::Tensor index, value;  // [T, K]
    at::Tensor dense;         // [T, F]
  };

  void add(const std::string& name, const at::Tensor& value);
  const at::Tensor& leaf(const std::string& name, int64_t layer) const;
  const at::Tensor& pair_weights(int64_t source, int64_t target) const;
  Active activate(int64_t layer, const at::Tensor& h) const;
  at::Tensor mapped(int64_t source, int64_t target, const Active& active) const;
  at::Tensor written(int64_t source, int64_t target, const Active& active) const;
  at::Tensor reconstruct(int64_t target, const std::vector<Active>& active, const at::Tensor& x,
                         std::vector<at::Tensor>& own_writes) const;
  at::Tensor penalty(int64_t layer, const Active& active) const;
  void adam(int64_t step);

  const architectures::Registry::Row& row_;
  trainer::TrainOptions options_;
  int64_t layers_;
  int64_t ahead_;  // targets a clt feature writes to beyond its own
  std::map<std::string, Leaf> leaves_;
};

}  // namespace crossloom::benchmarks
