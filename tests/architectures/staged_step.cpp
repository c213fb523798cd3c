#include "tests/architectures/staged_step.h"

#include <algorithm>
#include <ostream>

#include "architectures/incremental.h"
#include "architectures/initial_weights.h"
#include "architectures/pre_activation_loss.h"
#include "architectures/sparsity.h"
#include "architectures/stored_weights.h"
#include "tests/support/row_names.h"

namespace crossloom::architectures {

void PrintTo(const Registry::Row& row, std::ostream* out) {
  *out << row.name;
}

namespace test {

at::Tensor random_tensor(at::IntArrayRef shape, at::ScalarType type, uint64_t key, double scale) {
  return uniform_weights(shape, type, Rng(key, Purpose::kTest), scale);
}

std::vector<at::Tensor> random_rows(const Sizes& sizes, at::ScalarType type, uint64_t key) {
  std::vector<at::Tensor> rows;
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    rows.push_back(random_tensor({sizes.tokens, sizes.width}, type,
                                 1000 * key + static_cast<uint64_t>(layer)));
  }
  return rows;
}

TranscoderOptions options_for(const std::string& name, const Sizes& sizes, int64_t seed) {
  TranscoderOptions options;
  options.architecture = name;
  options.features = sizes.features;
  options.k = sizes.k;
  options.window = sizes.window;
  options.seed = seed;
  return options;
}

std::unique_ptr<Transcoder> random_transcoder(const TranscoderOptions& options, const Sizes& sizes,
                                              at::ScalarType type) {
  auto transcoder =
      Registry::instance().create(options, {sizes.layers, sizes.width, sizes.features}, type);
  uint64_t key = 100 * static_cast<uint64_t>(options.seed);
  for (const Parameter& parameter : transcoder->parameters()) {
    parameter.value.copy_(random_tensor(parameter.value.sizes(), computed_type(type), ++key, 0.7));
  }
  return transcoder;
}

std::unique_ptr<Transcoder> random_transcoder(const std::string& name, const Sizes& sizes,
                                              at::ScalarType type, int64_t seed) {
  return random_transcoder(options_for(name, sizes, seed), sizes, type);
}

KeepingSink::KeepingSink(const std::vector<Parameter>& parameters)
    : finished_calls(parameters.size(), 0) {
  for (const Parameter& parameter : parameters) {
    const at::Tensor& value = parameter.value;
    gradients.push_back(at::zeros(value.sizes(), computed_type(value.scalar_type())));
  }
}

at::Tensor Terms::pull(int64_t features) const {
  const at::Tensor weights = (at::arange(features, at::kDouble).remainder(3) + 1.0) * silent_pull;
  return pull_reversed ? weights.flip(0) : weights;
}

Codes encode(const Transcoder& transcoder, const std::vector<at::Tensor>& x) {
  Codes codes;
  const auto proposed = transcoder.propose_all(x, Watch::kGradients);
  for (size_t l = 0; l < x.size(); ++l) {
    const Candidates& candidates = proposed[l];
    std::optional<double> bar;
    if (const int64_t kept = transcoder.batch_kept() * x[l].size(0); kept > 0) {
      const at::Tensor sorted = std::get<0>(candidates.value.sort(0, /*descending=*/true));
      bar = sorted.numel() < kept ? 0.0 : sorted[kept - 1].item<double>();
    }
    codes.push_back(transcoder.filter(static_cast<int64_t>(l), candidates, bar));
  }
  return codes;
}

std::vector<at::Tensor> decoder_norms(const Transcoder& transcoder) {
  std::vector<at::Tensor> norms;
  for (const at::Tensor& squares : transcoder.decoder_square_norms({0, transcoder.shape().width})) {
    norms.push_back(squares.sqrt().to(transcoder.type()));
  }
  return norms;
}

std::vector<double> energies(const std::vector<at::Tensor>& y) {
  std::vector<double> result;
  for (const at::Tensor& target : y) {
    const at::Tensor mean = target_sum(target) / static_cast<double>(target.size(0));
    result.push_back(centred_energy(target, mean));
  }
  return result;
}

namespace {

struct Penalties {
  SparsityTerm sparsity;
  PreActivationTerm pull;
  std::vector<at::Tensor> silent_grad;  // [L] of [F]; undefined: none
};

Penalties penalties(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
                    const Codes& codes, const Terms& terms) {
  const auto norms = decoder_norms(transcoder);
  Penalties result{.sparsity = {}, .pull = {}, .silent_grad = std::vector<at::Tensor>(x.size())};
  if (terms.sparsity_weight > 0.0) {
    result.sparsity = tanh_penalty(codes, norms, terms.sparsity_weight, terms.sparsity_scale,
                                   terms.through_norms);
  }
  if (terms.silent_pull > 0.0) {
    std::vector<at::Tensor> weights;
    for (size_t l = 0; l < x.size(); ++l) {
      const at::Tensor pull = terms.pull(transcoder.shape().features).to(x[l].scalar_type());
      weights.push_back(terms.pull_by_norms ? pull * norms[l] : pull);
      result.silent_grad[l] = weights[l].neg();
    }
    const bool through = terms.pull_by_norms && terms.pull_through_norms;
    result.pull = pre_activation_loss(transcoder, x, codes, weights,
                                      through ? norms : std::vector<at::Tensor>());
  }
  return result;
}

}  // namespace

StepResult staged_step_into(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
                            const std::vector<at::Tensor>& y, const Terms& terms,
                            ParameterSink& sink) {
  const ColumnRange columns{0, transcoder.shape().width};
  const auto energy = energies(y);
  StepResult result;
  result.codes = encode(transcoder, x);
  transcoder.decode(result.codes, x, columns, result.y_hat);
  std::vector<at::Tensor> y_grad(y.size());
  for (size_t l = 0; l < y.size(); ++l) {
    result.loss += squared_error_backward(y[l], result.y_hat[l], energy[l], y_grad[l]) / energy[l];
  }
  const Penalties more = penalties(transcoder, x, result.codes, terms);
  result.loss += more.sparsity.loss + more.pull.loss;
  result.value_grad = transcoder.decode_backward(
      result.codes, x, y_grad, columns,
      sum_of_norm_gradients(more.sparsity.norm_grad, more.pull.norm_grad), sink);
  for (size_t l = 0; l < y.size(); ++l) {
    if (!more.sparsity.value_grad.empty()) {
      result.value_grad[l].add_(more.sparsity.value_grad[l]);
    }
    transcoder.encode_backward(static_cast<int64_t>(l), x[l], result.codes[l], result.value_grad[l],
                               more.silent_grad[l], sink);
  }
  return result;
}

StepResult staged_step(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
                       const std::vector<at::Tensor>& y, const Terms& terms) {
  KeepingSink sink(transcoder.parameters());
  StepResult result = staged_step_into(transcoder, x, y, terms, sink);
  result.gradients = sink.gradients;
  result.finished_calls = sink.finished_calls;
  return result;
}

bool any_dense(const Codes& codes) {
  return std::any_of(codes.begin(), codes.end(),
                     [](const LayerCodes& layer) { return layer.dense.defined(); });
}

bool has_fixed_order(const Registry::Row& row, const Transcoder& transcoder, const Codes& codes) {
  const TranscoderShape& shape = transcoder.shape();
  const bool sums_run = row.topology == "clt-incremental" &&
                        Incremental::runs_dense(codes, shape.features, shape.layers - 1);
  return !any_dense(codes) && !sums_run && !row.skip;
}

at::Tensor dense(const LayerCodes& codes, int64_t features) {
  const at::Tensor matrix = at::zeros({codes.tokens(), features}, codes.value.options());
  const auto* offsets = codes.offsets.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < codes.tokens(); ++t) {
    const at::Tensor index = codes.index.slice(0, offsets[t], offsets[t + 1]).to(at::kLong);
    matrix.select(0, t).index_put_({index}, codes.value.slice(0, offsets[t], offsets[t + 1]));
  }
  return matrix;
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0.0 : (a - b).abs().max().item<double>();
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a, b);
}

std::string row_test_name(const ::testing::TestParamInfo<Registry::Row>& row) {
  return crossloom::test::test_name(row.param.name);
}

}  // namespace test
}  // namespace crossloom::architectures
