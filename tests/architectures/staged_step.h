// One training step through the stages, and the same step by automatic differentiation: the oracle.
#pragma once

#include <gtest/gtest.h>

#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "architectures/auxk.h"
#include "architectures/losses.h"
#include "architectures/registry.h"

namespace crossloom::architectures {

/// What GoogleTest prints for a parameter of this type.
void PrintTo(const Registry::Row& row, std::ostream* out);

namespace test {

struct Sizes {
  int64_t tokens = 7;
  int64_t layers = 3;
  int64_t width = 5;
  int64_t features = 11;
  int64_t k = 3;
  int64_t window = -1;
};

/// The defaults at these sizes.
TranscoderOptions options_for(const std::string& name, const Sizes& sizes, int64_t seed = 1);
/// A transcoder of the registry whose every parameter, decoders and biases included, is random.
std::unique_ptr<Transcoder> random_transcoder(const TranscoderOptions& options, const Sizes& sizes,
                                              at::ScalarType type = at::kDouble);
std::unique_ptr<Transcoder> random_transcoder(const std::string& name, const Sizes& sizes,
                                              at::ScalarType type = at::kDouble, int64_t seed = 1);

/// Uniform in ±scale; element i from draw i.
at::Tensor random_tensor(at::IntArrayRef shape, at::ScalarType type, uint64_t key,
                         double scale = 1.0);
/// [L] of [T, D].
std::vector<at::Tensor> random_rows(const Sizes& sizes, at::ScalarType type, uint64_t key);

/// Keeps every gradient and counts the `finished` calls.
class KeepingSink final : public ParameterSink {
 public:
  explicit KeepingSink(const std::vector<Parameter>& parameters);
  at::Tensor gradient(size_t parameter) override { return gradients.at(parameter); }
  void finished(size_t parameter) override { ++finished_calls.at(parameter); }

  std::vector<at::Tensor> gradients;
  std::vector<int> finished_calls;
};

/// The terms beside the reconstruction; all of them at once by default.
struct Terms {
  double sparsity_weight = 0.02;  // λ / T
  double sparsity_scale = 1.5;    // c
  bool through_norms = true;
  double silent_pull = 0.01;  // w_i = silent_pull · (1 + i mod 3) · n_i
  bool pull_by_norms = true;  // else n_i is 1 there
  bool pull_through_norms = true;
  bool pull_reversed = false;  // i counted from the last feature

  static Terms none() { return {.sparsity_weight = 0.0, .silent_pull = 0.0}; }
  at::Tensor pull(int64_t features) const;  // [F] float64: w_i / n_i
};

struct StepResult {
  double loss = 0.0;
  Codes codes;
  std::vector<at::Tensor> y_hat;      // [L] of [T, D]
  CodeGradients value_grad;           // [L] of [nnz]
  std::vector<at::Tensor> gradients;  // as parameters()
  std::vector<int> finished_calls;    // as parameters()
};

/// As the trainer does: silent entries watched, BatchTopK's bar over these tokens.
Codes encode(const Transcoder& transcoder, const std::vector<at::Tensor>& x);
/// n_i of every layer, [L] of [F].
std::vector<at::Tensor> decoder_norms(const Transcoder& transcoder);
/// V_l of every layer.
std::vector<double> energies(const std::vector<at::Tensor>& y);
/// The loss (Σ_l FVU_l + terms) and all gradients, stage by stage.
StepResult staged_step(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
                       const std::vector<at::Tensor>& y, const Terms& terms = Terms::none());

/// The same with parameter gradients into `sink`, none in the result.
StepResult staged_step_into(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
                            const std::vector<at::Tensor>& y, const Terms& terms,
                            ParameterSink& sink);

/// The step by dense at:: operations and backward(), in float64.
StepResult oracle_step(const Registry::Row& row, const Transcoder& transcoder,
                       const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
                       const Terms& terms = Terms::none());
/// The AuxK loss alone in the same way: loss and gradients.
StepResult oracle_auxk(const Registry::Row& row, const Transcoder& transcoder, const AuxKTerm& term,
                       const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y,
                       const std::vector<at::Tensor>& y_hat);

/// Codes as a dense matrix [T, F].
at::Tensor dense(const LayerCodes& codes, int64_t features);
/// Whether some layer's codes went through GEMMs.
bool any_dense(const Codes& codes);
/// Whether every sum after the codes has one fixed order: no GEMM takes part, whose order is the
/// library's, neither for dense codes or running sums nor for a skip.
bool has_fixed_order(const Registry::Row& row, const Transcoder& transcoder, const Codes& codes);
/// Largest |a − b|.
double distance(const at::Tensor& a, const at::Tensor& b);
bool same_bits(const at::Tensor& a, const at::Tensor& b);

/// "clt-topk" → "clt_topk": a name GoogleTest accepts.
std::string row_test_name(const ::testing::TestParamInfo<Registry::Row>& row);

}  // namespace test
}  // namespace crossloom::architectures
