// What a decoder topology does: from codes to reconstructions and back. Implementations hold the
// decoder weights; composed_transcoder.h joins one with an encoder and an activation.
#pragma once

#include <string>
#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Appends the decoder's parameters; remembers where.
  virtual void add_parameters(std::vector<Parameter>& parameters) = 0;
  /// y_hat [T, columns] ← reconstruction of layer `target`, bias included.
  virtual void decode_layer(int64_t target, const Codes& codes, ColumnRange columns,
                            at::Tensor& y_hat) const = 0;
  /// As decode_layer, for all layers: y_hat [L][T, columns].
  virtual void decode(const Codes& codes, ColumnRange columns,
                      std::vector<at::Tensor>& y_hat) const = 0;
  virtual CodeGradients backward(const Codes& codes, const std::vector<at::Tensor>& y_grad,
                                 ColumnRange columns, ParameterSink& sink) const = 0;
  virtual at::Tensor written_rows(int64_t source, int64_t target,
                                  const at::Tensor& index) const = 0;
  virtual std::string describe() const = 0;
};

}  // namespace crossloom::architectures
