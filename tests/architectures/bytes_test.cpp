// Rows as bytes and their products against their definitions in float64.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "architectures/kernels/byte_products.h"
#include "architectures/kernels/byte_rows.h"
#include "tests/architectures/staged_step.h"

namespace crossloom::architectures::test {
namespace {

/// Of any bytes, also the most negative, against float64 products; ragged numbers of tokens and
/// features; with shifts that are needed and larger ones.
TEST(ByteProducts, AreTheNearestMultiples) {
  for (const auto& [tokens, features, width] :
       {std::tuple{1, 1, 4}, std::tuple{64, 6, 64}, std::tuple{130, 20, 76}}) {
    const at::Tensor x = at::randint(-128, 128, {tokens, width}, at::kChar);
    const at::Tensor w = at::randint(-128, 128, {features, width}, at::kChar);
    x[0].fill_(-128);
    w[0].fill_(-128);
    const at::Tensor shifted = w.to(at::kInt).add_(128).to(at::kByte);
    const auto tiles = kernels::tiles_of(x);
    ASSERT_EQ(tiles.tokens(), (tokens + 63) / 64 * 64);
    const at::Tensor exact = at::mm(w.to(at::kDouble), x.to(at::kDouble).t());
    std::vector<int32_t> shifts;
    const at::Tensor nearest = at::empty_like(exact);
    for (int64_t f = 0; f < features; ++f) {
      const int32_t least = kernels::shift_for(exact[f].abs().max().item<double>());
      shifts.push_back(least + static_cast<int32_t>(f % 3));
      nearest[f] = (exact[f] / static_cast<double>(1 << shifts.back()) + 0.5).floor();
    }
    const auto products = [&](auto multiply) {
      const at::Tensor all = at::empty({features, tiles.tokens()}, at::kShort);
      multiply(shifted.const_data_ptr<uint8_t>(), shifts.data(), features, tiles,
               all.mutable_data_ptr<int16_t>());
      EXPECT_TRUE(all.narrow(1, tokens, tiles.tokens() - tokens).eq(0).all().item<bool>());
      return all.narrow(1, 0, tokens).to(at::kDouble);
    };
    EXPECT_TRUE(at::equal(products(kernels::multiply_bytes), nearest));
    EXPECT_TRUE(at::equal(products(kernels::multiply_bytes_plainly), nearest));
  }
}

TEST(ByteProducts, AreKeptWithTheLeastShift) {
  EXPECT_EQ(kernels::shift_for(0.0), 0);
  EXPECT_EQ(kernels::shift_for(32766.0), 0);
  EXPECT_EQ(kernels::shift_for(32767.0), 1);  // the half that rounds must fit, too
  EXPECT_EQ(kernels::shift_for(127.0 * 127.0 * 768.0), 9);
}

/// Bytes, step and what is lost, against the definitions in float64; bfloat16 rows are the numbers
/// that they are.
TEST(ByteRows, AreTheNearestGridPoints) {
  const int64_t width = 83;  // not whole vectors
  const at::Tensor row = random_tensor({width}, at::kFloat, 1).to(at::kBFloat16).to(at::kFloat);
  const at::Tensor centre = random_tensor({width}, at::kFloat, 2);
  const at::Tensor scale = 0.5 + random_tensor({width}, at::kFloat, 3).abs();
  const at::Tensor direction = random_tensor({width}, at::kFloat, 4);
  const kernels::RowGrid grid{centre.const_data_ptr<float>(), scale.const_data_ptr<float>(),
                              direction.const_data_ptr<float>()};
  const at::Tensor values = at::empty({width});
  const at::Tensor bytes = at::empty({width}, at::kChar);
  const auto result =
      kernels::row_to_bytes(row.const_data_ptr<float>(), grid, width,
                            values.mutable_data_ptr<float>(), bytes.mutable_data_ptr<int8_t>());
  const at::Tensor v = (row - centre).to(at::kDouble) * scale.to(at::kDouble);
  const double step = v.abs().max().item<double>() / 127.0;
  EXPECT_NEAR(result.step, step, 1e-6 * step);
  EXPECT_LE((v / step - bytes.to(at::kDouble)).abs().max().item<double>(), 0.5 + 1e-4);
  const at::Tensor near = bytes.to(at::kDouble) * step;
  const auto is = [](float got, const at::Tensor& expected) {
    EXPECT_NEAR(got, expected.item<double>(), 1e-4 * std::abs(expected.item<double>()));
  };
  is(result.whole, v.square().sum());
  is(result.near, near.square().sum());
  is(result.error, (v - near).square().sum());
  is(result.product, v.dot(direction.to(at::kDouble)));
  const at::Tensor halves = row.to(at::kBFloat16);
  const at::Tensor again = at::empty({width}, at::kChar);
  kernels::row_to_bytes(static_cast<const hwy::bfloat16_t*>(halves.const_data_ptr()), grid, width,
                        values.mutable_data_ptr<float>(), again.mutable_data_ptr<int8_t>());
  EXPECT_TRUE(at::equal(bytes, again));
}

}  // namespace
}  // namespace crossloom::architectures::test
