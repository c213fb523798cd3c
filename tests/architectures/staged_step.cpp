#include "tests/architectures/staged_step.h"

#include <algorithm>
#include <ostream>

#include "architectures/initial_weights.h"

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

Codes encode(const Transcoder& transcoder, const std::vector<at::Tensor>& x) {
  Codes codes;
  for (size_t l = 0; l < x.size(); ++l) {
    const auto layer = static_cast<int64_t>(l);
    codes.push_back(transcoder.filter(layer, transcoder.propose(layer, x[l])));
  }
  return codes;
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
                       const std::vector<at::Tensor>& y) {
  const ColumnRange columns{0, transcoder.shape().width};
  const auto energy = energies(y);
  KeepingSink sink(transcoder.parameters());
  StepResult result;
  result.codes = encode(transcoder, x);
  transcoder.decode(result.codes, x, columns, result.y_hat);
  std::vector<at::Tensor> y_grad(y.size());
  for (size_t l = 0; l < y.size(); ++l) {
    result.loss += fvu_backward(y[l], result.y_hat[l], energy[l], y_grad[l]) / energy[l];
  }
  result.value_grad = transcoder.decode_backward(result.codes, x, y_grad, columns, sink);
  for (size_t l = 0; l < y.size(); ++l) {
    transcoder.encode_backward(static_cast<int64_t>(l), x[l], result.codes[l], result.value_grad[l],
                               sink);
  }
  result.gradients = sink.gradients;
  result.finished_calls = sink.finished_calls;
  return result;
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
  std::string name = row.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace test
}  // namespace crossloom::architectures
