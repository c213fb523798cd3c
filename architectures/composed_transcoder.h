// encoder × activation × decoder topology × skip → Transcoder. Every built-in row of the registry
// is one such composition; parameters are the encoder's, then the activation's, the topology's and
// the skip's.
#pragma once

#include <memory>
#include <optional>

#include "architectures/activation.h"
#include "architectures/decoder_topology.h"
#include "architectures/encoder.h"
#include "architectures/skip.h"

namespace crossloom::architectures {

class ComposedTranscoder final : public Transcoder {
 public:
  ComposedTranscoder(const TranscoderOptions& options, const TranscoderShape& shape,
                     at::ScalarType type, std::unique_ptr<Activation> activation,
                     std::unique_ptr<const DecoderTopology> topology, bool with_skip);

  const TranscoderShape& shape() const override { return shape_; }
  const TranscoderOptions& options() const override { return options_; }
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  at::ScalarType type() const override { return topology_->bias(0).scalar_type(); }
  std::string describe() const override;

  Candidates propose(int64_t layer, const at::Tensor& x, Watch watch) const override;
  std::vector<Candidates> propose_all(const std::vector<at::Tensor>& x, Watch watch) const override;
  LayerCodes filter(int64_t layer, const Candidates& merged,
                    std::optional<double> bar) const override;
  int64_t batch_kept() const override { return activation_->batch_kept(); }
  void set_batch_parts(int64_t parts) override { activation_->set_batch_parts(parts); }
  void set_kept(int64_t k) override { activation_->set_kept(k); }
  void decode(const Codes& codes, const std::vector<at::Tensor>& x, ColumnRange columns,
              std::vector<at::Tensor>& y_hat, Part part) const override;
  void decode_layer(int64_t target, const Codes& codes, const at::Tensor& x, ColumnRange columns,
                    at::Tensor& y_hat) const override;
  CodeGradients decode_backward(const Codes& codes, const std::vector<at::Tensor>& x,
                                const std::vector<at::Tensor>& y_grad, ColumnRange columns,
                                const std::vector<at::Tensor>& norm_grad, ParameterSink& sink,
                                Part part) const override;
  void encode_backward(int64_t layer, const at::Tensor& x, const LayerCodes& codes,
                       const at::Tensor& value_grad, const at::Tensor& silent_grad,
                       ParameterSink& sink) const override;

  std::vector<at::Tensor> decoder_square_norms(ColumnRange columns) const override;
  at::Tensor thresholds(int64_t layer) const override { return activation_->thresholds(layer); }
  at::Tensor pre_activations(int64_t layer, const at::Tensor& x,
                             const at::Tensor& index = {}) const override;
  at::Tensor written_rows(int64_t source, int64_t target, const at::Tensor& index,
                          const at::Tensor& value = {}) const override;
  at::Tensor read_rows(int64_t layer, const at::Tensor& index) const override;
  at::Tensor skip_weight(int64_t layer) const override;

 private:
  /// Where a component's parameters begin in parameters().
  size_t first_of_activation() const { return encoder_.parameters().size(); }
  size_t first_of_topology() const {
    return first_of_activation() + activation_->parameters().size();
  }
  size_t first_of_skip() const { return first_of_topology() + topology_->parameters().size(); }
  void randomise_decoders() const;
  /// y_hat made [T, columns.width()] = `sizes` with the bias (or zeros) in it; every layer's.
  void start_layer(int64_t layer, at::IntArrayRef sizes, ColumnRange columns, at::Tensor& y_hat,
                   Part part) const;
  void start_decode(const Codes& codes, ColumnRange columns, std::vector<at::Tensor>& y_hat,
                    Part part) const;

  TranscoderOptions options_;
  TranscoderShape shape_;
  Encoder encoder_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<const DecoderTopology> topology_;
  std::optional<Skip> skip_;
  std::vector<Parameter> parameters_;  // share storage with the components'
};

}  // namespace crossloom::architectures
