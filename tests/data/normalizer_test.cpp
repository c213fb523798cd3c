#include "data/normalizer.h"

#include <gtest/gtest.h>

#include "data/synthetic.h"
#include "tests/support/expect_error.h"

namespace crossloom::data {
namespace {

constexpr SyntheticOptions kOptions{.layers = 3, .width = 16, .rows = 200};

NormStatistics statistics() {
  auto result = NormStatistics::empty(3, 16, 16);
  add_rows(result, synthetic_rows(kOptions, 0, 200), "test");
  return result;
}

TEST(Normalizer, MeanNormBecomesRootOfWidth) {
  const Normalizer normalizer(statistics());
  const Batch rows = synthetic_rows(kOptions, 0, 200);
  at::Tensor x = at::empty({0}, at::kDouble);
  at::Tensor y = at::empty({0}, at::kFloat);
  for (int64_t layer = 0; layer < 3; ++layer) {
    normalizer.normalize_input(layer, rows.x[size_t(layer)], x);
    normalizer.normalize_target(layer, rows.y[size_t(layer)], y);
    EXPECT_NEAR(x.norm(2, 1).mean().item<double>(), 4.0, 1e-12);  // √16
    EXPECT_NEAR(y.norm(2, 1).mean().item<double>(), 4.0, 1e-5);
    const at::Tensor back = normalizer.restore_target(layer, y);
    EXPECT_LE((back - rows.y[size_t(layer)].to(at::kFloat)).abs().max().item<double>(), 1e-5);
  }
}

TEST(Normalizer, ReusesTheOutput) {
  const Normalizer normalizer(statistics());
  const Batch rows = synthetic_rows(kOptions, 0, 200);
  at::Tensor x = at::empty({200, 16}, at::kFloat);
  const void* memory = x.const_data_ptr();
  normalizer.normalize_input(1, rows.x[1], x);
  EXPECT_EQ(x.const_data_ptr(), memory);
}

/// y(x) of a CLT with skip, trained space against folded weights on raw activations, float64.
TEST(Normalizer, FoldedEqualsUnfolded) {
  const Normalizer normalizer(statistics());
  const int64_t F = 5;
  const auto draw = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  at::manual_seed(3);
  const at::Tensor w_enc = draw({F, 16});
  const at::Tensor b_enc = draw({F});
  const at::Tensor w_dec = draw({F, 2, 16});  // source layer 1 → targets 1 and 2
  const at::Tensor b_dec = draw({16});
  const at::Tensor w_skip = draw({16, 16});
  const at::Tensor x = synthetic_rows(kOptions, 0, 50).x[1].to(at::kDouble);

  at::Tensor x_scaled = at::empty({0}, at::kDouble);
  normalizer.normalize_input(1, x, x_scaled);
  const at::Tensor codes = at::relu(at::mm(x_scaled, w_enc.t()) + b_enc);
  const at::Tensor folded_codes =
      at::relu(at::mm(x, normalizer.fold_encoder(1, w_enc).t()) + b_enc);
  EXPECT_LE((codes - folded_codes).abs().max().item<double>(), 1e-12);

  const at::Tensor folded_dec = normalizer.fold_decoder(1, w_dec);
  for (int64_t j = 0; j < 2; ++j) {
    const at::Tensor unfolded = normalizer.restore_target(1 + j, at::mm(codes, w_dec.select(1, j)));
    const at::Tensor folded = at::mm(codes, folded_dec.select(1, j));
    EXPECT_LE((unfolded - folded).abs().max().item<double>(), 1e-12) << j;
  }
  const at::Tensor affine = normalizer.restore_target(1, at::mm(x_scaled, w_skip.t()) + b_dec);
  const at::Tensor folded_affine =
      at::mm(x, normalizer.fold_skip(1, w_skip).t()) + normalizer.fold_decoder_bias(1, b_dec);
  EXPECT_LE((affine - folded_affine).abs().max().item<double>(), 1e-12);
}

TEST(Normalizer, RefusesALayerOfZeros) {
  auto zero = statistics();
  zero.targets.mean_norm[2] = 0.0;
  test::expect_error<DataError>([&] { Normalizer{zero}; }, {"targets of layer 2"});
}

}  // namespace
}  // namespace crossloom::data
