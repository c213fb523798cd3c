// An activation that may find its candidates through products of bytes (kernels/screen.h), without
// the encoder's float32 product, and several layers at a time.
#pragma once

#include <optional>
#include <vector>

#include "architectures/activation.h"

namespace crossloom::architectures {

class ScreenedActivation : public Activation {
 public:
  /// Through the screen where it is faster and of use.
  Candidates propose_from(int64_t layer, const EncoderProduct& product, Watch watch) const override;
  /// Several layers at a time, a thread each, where that busies all threads.
  std::vector<Candidates> propose_all(const std::vector<EncoderProduct>& layers,
                                      Watch watch) const override;

 protected:
  /// x [T, D] contiguous, large enough for the screen to pay → candidates whose places count from
  /// these features; nothing where the whole product is needed.
  virtual std::optional<Candidates> screened(const EncoderProduct& product, Watch watch) const = 0;

 private:
  std::optional<Candidates> try_screen(const EncoderProduct& product, Watch watch) const;
};

}  // namespace crossloom::architectures
