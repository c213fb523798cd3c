// Adam in float32 on a GPU against its CPU twin on the same numbers: over a stretch, and applied
// where a backward pass makes the gradient.
#include <gtest/gtest.h>

#include "architectures/kernels/feature_pass.h"
#include "tests/support/device_memory.h"
#include "tests/support/random_codes.h"
#include "tests/trainer/cuda_coefficients.h"

namespace crossloom::trainer {
namespace {

using namespace crossloom::test;

class AdamOnGpu : public OnGpu {};

AdamCoefficients<float> coefficients(int64_t step) {
  return adam_coefficients<float>(AdamOptions(), step, 0.01, 0.5);
}

/// Weights and moments after some steps, [rows, columns].
struct State {
  State(int64_t rows, int64_t columns)
      : weights(random_matrix(rows, columns, 2)),
        first(random_matrix(rows, columns, 4) * 0.1),
        second(random_matrix(rows, columns, 6).square() * 0.01) {}
  at::Tensor weights, first, second;
};

struct DeviceState {
  explicit DeviceState(const State& host)
      : weights(host.weights), first(host.first), second(host.second) {}
  DeviceTensor weights, first, second;
};

void expect_equal(const DeviceState& device, const State& host) {
  EXPECT_TRUE(at::allclose(device.weights.read(), host.weights, 1e-6, 1e-6));
  EXPECT_TRUE(at::allclose(device.first.read(), host.first, 1e-6, 1e-8));
  EXPECT_TRUE(at::allclose(device.second.read(), host.second, 1e-6, 1e-10));
}

TEST_F(AdamOnGpu, InFloat32IsTheCpus) {
  for (const int64_t count : {0, 1, 4, 1027, 100000}) {
    for (const int64_t begin : {0, 1}) {  // at a 16-byte address or not
      State host(1, count + begin);
      const at::Tensor gradient = random_floats({count + begin}, 4);
      const DeviceState device(host);
      const DeviceTensor device_gradient(gradient);
      const DeviceArray<CudaAdam> c({cuda_adam(coefficients(3))});
      expect_success(cuda_part().adam_stretch({.weights = device.weights.data() + begin,
                                               .gradient = device_gradient.data() + begin,
                                               .first = device.first.data() + begin,
                                               .second = device.second.data() + begin,
                                               .count = count,
                                               .coefficients = c.data()},
                                              nullptr));
      adam_stretch(host.weights.mutable_data_ptr<float>() + begin,
                   gradient.const_data_ptr<float>() + begin,
                   host.first.mutable_data_ptr<float>() + begin,
                   host.second.mutable_data_ptr<float>() + begin, count, coefficients(3));
      expect_equal(device, host);
    }
  }
}

/// The decoder's case: reach from the table that Adam then changes; features without codes decay.
TEST_F(AdamOnGpu, AppliedWhereTheGradientIsMade) {
  for (const CodeSizes& sizes : {CodeSizes{9, 30, 63, 5}, CodeSizes{40, 50, 2304, 10}}) {
    const auto codes = random_codes(sizes, 1);
    const auto lists = architectures::kernels::group_by_feature(codes, codes.value, sizes.features);
    State host(sizes.features, sizes.columns);
    const at::Tensor rows = random_matrix(sizes.tokens, sizes.columns, 6);
    const at::Tensor reach = at::zeros_like(codes.value);
    const DeviceState device(host);
    const DeviceTensor device_rows(rows), device_reach(reach);
    const DeviceTensor offsets(lists.offsets), token(lists.token), weight(lists.weight);
    const DeviceArray<CudaAdam> c({cuda_adam(coefficients(2))});
    const DeviceArray<CudaFeatureGroup> groups({{offsets.data<int64_t>(), 0, 1}});
    const DeviceArray<CudaFeaturePass> passes({{.token = token.data<int32_t>(),
                                                .weight = weight.data(),
                                                .rows = device_rows.data(),
                                                .rows_stride = sizes.columns,
                                                .table = device.weights.data(),
                                                .table_stride = sizes.columns,
                                                .reach = device_reach.data(),
                                                .start = nullptr,
                                                .start_row = nullptr,
                                                .gradient = nullptr,
                                                .gradient_stride = 0,
                                                .weights = device.weights.data(),
                                                .first = device.first.data(),
                                                .second = device.second.data(),
                                                .weights_stride = sizes.columns}});
    expect_success(cuda_part().feature_passes({.groups = groups.data(),
                                               .passes = passes.data(),
                                               .group_count = 1,
                                               .features = sizes.features,
                                               .columns = sizes.columns,
                                               .table_type = CudaNumber::kFloat,
                                               .adam = c.data()},
                                              nullptr));
    const at::Tensor gradient = at::zeros_like(host.weights);
    architectures::kernels::run_feature_passes({{.lists = lists,
                                                 .rows = rows,
                                                 .gradient = gradient,
                                                 .table = host.weights,
                                                 .reach = reach}});
    adam_stretch(host.weights.mutable_data_ptr<float>(), gradient.const_data_ptr<float>(),
                 host.first.mutable_data_ptr<float>(), host.second.mutable_data_ptr<float>(),
                 gradient.numel(), coefficients(2));
    expect_equal(device, host);
    EXPECT_TRUE(at::allclose(device_reach.read(), reach, 0.0, 1e-4));  // sums of up to 2,304
  }
}

}  // namespace
}  // namespace crossloom::trainer
