#include "tests/architectures/staged_step.h"

#include <algorithm>
#include <ostream>

#include "architectures/initial_weights.h"
#include "architectures/pre_activation_loss.h"
#include "architectures/sparsity.h"
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

std::unique_ptr<Transcoder> random_transcoder(const std::string& name, const Sizes& sizes,
                                              at::ScalarType type, int64_t seed) {
  TranscoderOptions options;
  options.architecture = name;
  options.features = sizes.features;
  options.k = sizes.k;
  options.seed = seed;
  auto transcoder =
      Registry::instance().create(options, {sizes.layers, sizes.width, sizes.features}, type);
  uint64_t key = 100 * static_cast<uint64_t>(seed);
  for (const Parameter& parameter : transcoder->parameters()) {
    parameter.value.copy_(random_tensor(parameter.value.sizes(), type, ++key, 0.7));
  }
  return transcoder;
}

KeepingSink::KeepingSink(const std::vector<Parameter>& parameters)
    : finished_calls(parameters.size(), 0) {
  for (const Parameter& parameter : parameters) {
    gradients.push_back(at::zeros_like(parameter.value));
  }
}

at::Tensor Terms::pull(int64_t features) const {
  return (at::arange(features, at::kDouble).remainder(3) + 1.0) * silent_pull;
}

Codes encode(const Transcoder& transcoder, const std::vector<at::Tensor>& x) {
  Codes codes;
  for (size_t l = 0; l < x.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    const Candidates candidates = transcoder.propose(layer, x[l], Watch::kGradients);
    std::optional<double> bar;
    if (const int64_t kept = transcoder.batch_kept() * x[l].size(0); kept > 0) {
      const at::Tensor sorted = std::get<0>(candidates.value.sort(0, /*descending=*/true));
      bar = sorted.numel() < kept ? 0.0 : sorted[kept - 1].item<double>();
    }
    codes.push_back(transcoder.filter(layer, candidates, bar));
  }
  return codes;
}

std::vector<at::Tensor> decoder_norms(const Transcoder& transcoder) {
  std::vector<at::Tensor> norms;
  for (const at::Tensor& squares : transcoder.decoder_square_norms({0, transcoder.shape().width})) {
    norms.push_back(squares.sqrt().to(transcoder.parameters().front().value.scalar_type()));
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

StepResult staged_step(const Transcoder& transcoder, const std::vector<at::Tensor>& x,
                       const std::vector<at::Tensor>& y, const Terms& terms) {
  const ColumnRange columns{0, transcoder.shape().width};
  const auto energy = energies(y);
  KeepingSink sink(transcoder.parameters());
  StepResult result;
  result.codes = encode(transcoder, x);
  transcoder.decode(result.codes, x, columns, result.y_hat);
  std::vector<at::Tensor> y_grad(y.size());
  for (size_t l = 0; l < y.size(); ++l) {
    result.loss += squared_error_backward(y[l], result.y_hat[l], energy[l], y_grad[l]) / energy[l];
  }
  SparsityTerm sparsity;
  if (terms.sparsity_weight > 0.0) {
    sparsity = tanh_penalty(result.codes, decoder_norms(transcoder), terms.sparsity_weight,
                            terms.sparsity_scale, terms.through_norms);
    result.loss += sparsity.loss;
  }
  result.value_grad =
      transcoder.decode_backward(result.codes, x, y_grad, columns, sparsity.norm_grad, sink);
  for (size_t l = 0; l < y.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    if (!sparsity.value_grad.empty()) {
      result.value_grad[l].add_(sparsity.value_grad[l]);
    }
    at::Tensor silent_grad;
    if (terms.silent_pull > 0.0) {
      const at::Tensor pull = terms.pull(transcoder.shape().features).to(x[l].scalar_type());
      result.loss += pre_activation_loss(transcoder, layer, x[l], result.codes[l], pull);
      silent_grad = pull.neg();
    }
    transcoder.encode_backward(layer, x[l], result.codes[l], result.value_grad[l], silent_grad,
                               sink);
  }
  result.gradients = sink.gradients;
  result.finished_calls = sink.finished_calls;
  return result;
}

bool any_dense(const Codes& codes) {
  return std::any_of(codes.begin(), codes.end(),
                     [](const LayerCodes& layer) { return layer.dense.defined(); });
}

bool has_fixed_order(const Registry::Row& row, const Codes& codes) {
  return !any_dense(codes) && !row.skip && !row.topology.starts_with("clt-incremental");
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
