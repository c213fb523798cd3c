#include "benchmarks/fast_step.h"

#include <ATen/Functions.h>

#include "architectures/losses.h"
#include "architectures/registry.h"
#include "architectures/sparsity.h"
#include "benchmarks/probes.h"
#include "common/rng.h"

namespace crossloom::benchmarks {
namespace {

using architectures::Transcoder;

/// Standard normal and exact in bfloat16: [L] of float32 [T, D].
std::vector<at::Tensor> random_rows(const StepShape& shape, uint64_t key) {
  std::vector<at::Tensor> rows;
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    at::Generator generator = at::detail::createCPUGenerator(key + static_cast<uint64_t>(layer));
    rows.push_back(at::randn({shape.tokens, shape.width}, generator, at::TensorOptions(at::kFloat))
                       .to(at::kBFloat16)
                       .to(at::kFloat));
  }
  return rows;
}

/// b_enc such that K of the features fire for a token, for types that do not count.
void set_firing_rate(const Transcoder& transcoder, const StepShape& shape,
                     const std::vector<at::Tensor>& x) {
  constexpr int64_t kSample_tokens = 64;
  for (int64_t l = 0; l < shape.layers; ++l) {
    const at::Tensor sample =
        x[static_cast<size_t>(l)].narrow(0, 0, std::min(kSample_tokens, shape.tokens));
    const at::Tensor h = transcoder.pre_activations(l, sample).flatten();
    const int64_t active = shape.kept * sample.size(0);
    const double bar = std::get<0>(h.kthvalue(h.numel() - active)).item<double>();
    at::Tensor bias = architectures::find_parameter(transcoder, fmt::format("b_enc_{}", l));
    bias.sub_(bar);
  }
}

}  // namespace

Json shape_json(const StepShape& shape) {
  return {{"T", shape.tokens},
          {"L", shape.layers},
          {"D", shape.width},
          {"F", shape.features},
          {"K", shape.kept}};
}

bool reads_rows_once(const StepShape& shape) {
  const auto& row = architectures::Registry::instance().row(shape.architecture);
  return row.topology == "plt" || row.topology == "clt-source-tied";
}

StepInputs::StepInputs(const StepShape& shape)
    : x(random_rows(shape, 1)), y(random_rows(shape, 1'000'003)) {
  for (size_t l = 0; l < x.size(); ++l) {
    batch.x.push_back(x[l].to(at::kBFloat16));
    batch.y.push_back(y[l].to(at::kBFloat16));
  }
}

trainer::TrainOptions step_options(const StepShape& shape) {
  trainer::TrainOptions options;
  options.transcoder.architecture = shape.architecture;
  options.transcoder.features = shape.features;
  options.transcoder.k = shape.kept;
  options.transcoder.init.decoder = "uniform";
  options.loader.batch_tokens = shape.tokens;
  options.weights = shape.weights;
  options.adam.states = shape.states;
  options.adam.beta1 = shape.beta1;
  options.adam.clip_norm = 0.0;
  options.adam.warmup_steps = 0;
  options.adam.decay = "constant";
  options.adam.learning_rate = 1e-4;
  options.sparsity.ramp_share = 0.0;
  const auto& row = architectures::Registry::instance().row(shape.architecture);
  if (row.activation == "relu" || row.activation == "jumprelu") {
    options.sparsity.weight = 1e-3;
    options.transcoder.jumprelu = {};
    options.transcoder.jumprelu.threshold = 0.03;
    options.transcoder.jumprelu.bandwidth = 0.05;
  }
  options.steps = int64_t{1} << 30;
  return options;
}

std::unique_ptr<Transcoder> bench_transcoder(const StepShape& shape, const StepInputs& inputs,
                                             at::ScalarType type) {
  const auto options = step_options(shape);
  auto transcoder = architectures::Registry::instance().create(
      options.transcoder, {shape.layers, shape.width, shape.features}, type);
  if (options.sparsity.weight > 0.0) {
    set_firing_rate(*transcoder, shape, inputs.x);
  }
  return transcoder;
}

FastStep::FastStep(const StepShape& shape, const StepInputs& inputs)
    : options_(step_options(shape)),
      communicator_(make_single_communicator()),
      transcoder_(
          bench_transcoder(shape, inputs, shape.weights == "full" ? at::kFloat : at::kBFloat16)),
      normalizer_(std::vector<double>(static_cast<size_t>(shape.layers), 1.0),
                  std::vector<double>(static_cast<size_t>(shape.layers), 1.0)),
      nobody_dead_(at::zeros({shape.layers, shape.features}, at::kBool)) {
  step_ = std::make_unique<trainer::Step>(*transcoder_, normalizer_, options_, *communicator_);
}

FastStep::~FastStep() = default;

double FastStep::run(const data::Batch& batch, int64_t step) {
  return step_->run(batch, step, nobody_dead_).loss;
}

std::vector<std::pair<std::string, double>> FastStep::stages(const StepInputs& inputs,
                                                             int64_t step) {
  const architectures::ColumnRange columns{0, transcoder_->shape().width};
  const int64_t layers = transcoder_->shape().layers;
  architectures::Codes codes;
  std::vector<at::Tensor> y_hat;
  std::vector<at::Tensor> y_grad(static_cast<size_t>(layers));
  architectures::CodeGradients value_grad;
  step_->updates().start_step(step, options_.adam.learning_rate, options_.adam.learning_rate, 1.0);
  trainer::ApplyingSink sink(step_->updates());
  std::vector<std::pair<std::string, double>> stages;
  const auto time = [&](const char* name, const std::function<void(int64_t, size_t)>& body) {
    stages.emplace_back(name, seconds_of([&] {
                          for (int64_t l = 0; l < layers; ++l) {
                            body(l, static_cast<size_t>(l));
                          }
                        }));
  };
  stages.emplace_back(
      "encode and select", seconds_of([&] {
        const auto candidates =
            transcoder_->propose_all(inputs.x, architectures::Watch::kGradients);
        for (int64_t l = 0; l < layers; ++l) {
          codes.push_back(transcoder_->filter(l, candidates[static_cast<size_t>(l)]));
        }
      }));
  stages.emplace_back("decode",
                      seconds_of([&] { transcoder_->decode(codes, inputs.x, columns, y_hat); }));
  time("loss", [&](int64_t, size_t i) {
    const double energy = static_cast<double>(inputs.y[i].numel());
    architectures::squared_error_backward(inputs.y[i], y_hat[i], energy, y_grad[i]);
  });
  stages.emplace_back("decode backward, applied", seconds_of([&] {
                        value_grad = transcoder_->decode_backward(codes, inputs.x, y_grad, columns,
                                                                  {}, sink);
                      }));
  time("encode backward, applied", [&](int64_t l, size_t i) {
    transcoder_->encode_backward(l, inputs.x[i], codes[i], value_grad[i], {}, sink);
  });
  return stages;
}

}  // namespace crossloom::benchmarks
