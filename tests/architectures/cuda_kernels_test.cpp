// The sparse kernels on a GPU against their CPU twins on the same numbers. Sums that both take in
// one order, one fused multiply-add at a time, have the same bits.
#include <gtest/gtest.h>

#include <cmath>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/decode.h"
#include "architectures/kernels/feature_pass.h"
#include "tests/support/device_memory.h"
#include "tests/support/random_codes.h"

namespace crossloom::architectures {
namespace {

using namespace crossloom::test;

class CudaKernels : public OnGpu {};

/// Whole 16-byte pieces, tails of every kind, several pieces, tokens with more codes than are
/// staged at once, no codes at all, codes that all belong to a few features.
const CodeSizes kSizes[] = {{3, 4, 1, 2},        {5, 7, 15, 7},    {9, 30, 64, 5},
                            {40, 30, 65, 10},    {8, 900, 576, 7}, {300, 400, 68, 299},
                            {33, 2000, 2304, 9}, {6, 5, 64, 0},    {2500, 20, 200, 4}};

CudaNumber number_of(at::ScalarType type) {
  return type == at::kFloat ? CudaNumber::kFloat : CudaNumber::kHalf;
}

/// Two targets; both sources write to the second one, through tables of their own.
void check_decode(const CodeSizes& sizes, at::ScalarType type) {
  const LayerCodes early = random_codes(sizes, 1);
  const LayerCodes late = random_codes({sizes.tokens, sizes.features, 0, sizes.per_token / 2}, 8);
  const auto table_of = [&](uint64_t key) {
    return random_matrix(sizes.features, sizes.columns, key, type);
  };
  const at::Tensor tables[] = {table_of(2), table_of(4), table_of(5)};
  const at::Tensor y[] = {random_matrix(sizes.tokens, sizes.columns, 3),
                          random_matrix(sizes.tokens, sizes.columns, 6)};
  const DeviceCodes codes[] = {DeviceCodes(early), DeviceCodes(late)};
  const DeviceTensor device_tables[] = {DeviceTensor(tables[0]), DeviceTensor(tables[1]),
                                        DeviceTensor(tables[2])};
  const DeviceTensor device_y[] = {DeviceTensor(y[0]), DeviceTensor(y[1])};
  const auto write = [&](int source, int table) -> CudaDecodeWrite {
    return {.codes = codes[source].view(),
            .table = device_tables[table].data<void>(),
            .table_stride = device_tables[table].stride()};
  };
  const DeviceArray<CudaDecodeWrite> writes({write(0, 0), write(0, 1), write(1, 2)});
  const auto target = [&](int layer, int64_t first, int64_t count) -> CudaDecodeTarget {
    return {.y = device_y[layer].data(),
            .y_stride = device_y[layer].stride(),
            .first_write = first,
            .write_count = count};
  };
  const DeviceArray<CudaDecodeTarget> targets({target(0, 0, 1), target(1, 1, 2)});
  expect_success(cuda_part().decode({.targets = targets.data(),
                                     .writes = writes.data(),
                                     .target_count = 2,
                                     .tokens = sizes.tokens,
                                     .columns = sizes.columns,
                                     .table_type = number_of(type)},
                                    nullptr));
  kernels::run_decode(
      {{y[0], {{&early, tables[0]}}}, {y[1], {{&early, tables[1]}, {&late, tables[2]}}}});
  for (int layer = 0; layer < 2; ++layer) {
    EXPECT_TRUE(at::equal(device_y[layer].read_storage(), storage_of(y[layer])))
        << "columns " << sizes.columns << ", target " << layer << ", " << at::toString(type);
  }
}

TEST_F(CudaKernels, DecodesToTheSameBits) {
  for (const CodeSizes& sizes : kSizes) {
    check_decode(sizes, at::kFloat);
    check_decode(sizes, at::kBFloat16);
  }
}

/// Codes by feature on the device.
struct DeviceLists {
  explicit DeviceLists(const kernels::FeatureLists& lists)
      : offsets(lists.offsets), token(lists.token), weight(lists.weight) {}
  DeviceTensor offsets, token, weight;
};

/// What a pass needs, on both sides; `start` with the table or, without one, with a row.
struct PassCase {
  PassCase(const CodeSizes& sizes, const LayerCodes& codes, at::ScalarType type, uint64_t key)
      : rows(random_matrix(sizes.tokens, sizes.columns, key)),
        table(random_matrix(sizes.features, sizes.columns, key + 1, type)),
        gradient(random_matrix(sizes.features, sizes.columns, key + 2)),
        reach(random_floats({codes.count()}, key + 3)),
        start(random_floats({sizes.features}, key + 4)),
        start_row(random_floats({sizes.columns}, key + 5)) {}
  at::Tensor rows, table, gradient, reach, start, start_row;
};

struct DevicePass {
  explicit DevicePass(const PassCase& host)
      : rows(host.rows),
        table(host.table),
        gradient(host.gradient),
        reach(host.reach),
        start(host.start),
        start_row(host.start_row) {}
  CudaFeaturePass view(const DeviceLists& lists, bool with_table, bool with_start) const {
    return {.token = lists.token.data<int32_t>(),
            .weight = lists.weight.data(),
            .rows = rows.data(),
            .rows_stride = rows.stride(),
            .table = with_table ? table.data<void>() : nullptr,
            .table_stride = table.stride(),
            .reach = with_table ? reach.data() : nullptr,
            .start = with_start ? start.data() : nullptr,
            .start_row = with_start && !with_table ? start_row.data() : nullptr,
            .gradient = gradient.data(),
            .gradient_stride = gradient.stride(),
            .weights = nullptr,
            .first = nullptr,
            .second = nullptr,
            .weights_stride = 0};
  }
  DeviceTensor rows, table, gradient, reach, start, start_row;
};

kernels::FeaturePass host_pass(const kernels::FeatureLists& lists, const PassCase& c,
                               bool with_table, bool with_start) {
  return {.lists = lists,
          .rows = c.rows,
          .gradient = c.gradient,
          .table = with_table ? c.table : at::Tensor(),
          .reach = with_table ? c.reach : at::Tensor(),
          .start = with_start ? c.start : at::Tensor(),
          .start_row = with_start && !with_table ? c.start_row : at::Tensor()};
}

/// One group of two passes that add to one reach, one of a pass without a table, one of a pass for
/// the reach alone.
void check_feature_passes(const CodeSizes& sizes, at::ScalarType type, bool with_start) {
  const LayerCodes codes = random_codes(sizes, 1);
  const auto lists = kernels::group_by_feature(codes, codes.value, sizes.features);
  PassCase cases[] = {{sizes, codes, type, 10}, {sizes, codes, type, 21}, {sizes, codes, type, 30}};
  cases[1].reach = cases[0].reach;
  const DeviceLists device_lists(lists);
  const DevicePass device[] = {DevicePass(cases[0]), DevicePass(cases[1]), DevicePass(cases[2])};
  CudaFeaturePass second = device[1].view(device_lists, true, with_start);
  second.reach = device[0].reach.data();
  CudaFeaturePass alone = device[2].view(device_lists, true, false);
  alone.gradient = nullptr;
  const DeviceArray<CudaFeaturePass> passes({device[0].view(device_lists, true, with_start), second,
                                             device[2].view(device_lists, false, with_start),
                                             alone});
  const auto* offsets = device_lists.offsets.data<int64_t>();
  const DeviceArray<CudaFeatureGroup> groups({{offsets, 0, 2}, {offsets, 2, 1}, {offsets, 3, 1}});
  expect_success(cuda_part().feature_passes({.groups = groups.data(),
                                             .passes = passes.data(),
                                             .group_count = 3,
                                             .features = sizes.features,
                                             .columns = sizes.columns,
                                             .table_type = number_of(type),
                                             .adam = nullptr},
                                            nullptr));
  kernels::run_feature_passes(
      {host_pass(lists, cases[0], true, with_start), host_pass(lists, cases[1], true, with_start)});
  kernels::run_feature_passes({host_pass(lists, cases[2], false, with_start)});
  kernels::run_feature_passes(
      {{.lists = lists, .rows = cases[2].rows, .table = cases[2].table, .reach = cases[2].reach}});
  for (int pass = 0; pass < 3; ++pass) {
    EXPECT_TRUE(at::equal(device[pass].gradient.read_storage(), storage_of(cases[pass].gradient)))
        << "columns " << sizes.columns << ", pass " << pass << ", " << at::toString(type);
  }
  // Sums of products of numbers in [−1, 1], in another order: 1e-5 of their spread √(d/9), and of
  // the reach they are added to.
  const double tolerance = 1e-5 * (1.0 + std::sqrt(static_cast<double>(sizes.columns) / 9.0));
  for (const int pass : {0, 2}) {
    EXPECT_TRUE(at::allclose(device[pass].reach.read(), cases[pass].reach, 0.0, tolerance))
        << "columns " << sizes.columns << ", pass " << pass << ", " << at::toString(type);
  }
}

TEST_F(CudaKernels, FeaturePassesGiveTheSameBitsAndTheSameReach) {
  for (const CodeSizes& sizes : kSizes) {
    for (const bool with_start : {false, true}) {
      check_feature_passes(sizes, at::kFloat, with_start);
      check_feature_passes(sizes, at::kBFloat16, with_start);
    }
  }
}

TEST_F(CudaKernels, GroupsAreTheSameWithRoomToSpare) {
  for (const CodeSizes& sizes : kSizes) {
    for (const int64_t spare : {0, 7}) {
      const LayerCodes codes = random_codes(sizes, 1);
      const auto lists = kernels::group_by_feature(codes, codes.value, sizes.features);
      const int64_t capacity = codes.count() + spare;
      const DeviceCodes device_codes(codes);
      const DeviceTensor offsets(at::full({sizes.features + 1}, -1, at::kLong));
      const DeviceTensor token(at::zeros({capacity}, at::kInt));
      const DeviceTensor weight(at::zeros({capacity}, at::kFloat));
      const DeviceTensor entry(at::zeros({capacity}, at::kInt));
      int64_t size_bytes = 0;
      expect_success(cuda_part().group_workspace(capacity, sizes.features, &size_bytes));
      const DeviceTensor workspace(at::zeros({size_bytes}, at::kByte));
      expect_success(cuda_part().group_by_feature({.codes = device_codes.view(),
                                                   .tokens = sizes.tokens,
                                                   .capacity = capacity,
                                                   .features = sizes.features,
                                                   .list_offsets = offsets.data<int64_t>(),
                                                   .token = token.data<int32_t>(),
                                                   .weight = weight.data(),
                                                   .entry = entry.data<int32_t>(),
                                                   .workspace = workspace.data<void>(),
                                                   .workspace_bytes = size_bytes},
                                                  nullptr));
      const auto codes_of = [&](const DeviceTensor& all) {
        return all.read().narrow(0, 0, codes.count());
      };
      EXPECT_TRUE(at::equal(offsets.read(), lists.offsets)) << "features " << sizes.features;
      EXPECT_TRUE(at::equal(codes_of(token), lists.token)) << "features " << sizes.features;
      EXPECT_TRUE(at::equal(codes_of(weight), lists.weight)) << "features " << sizes.features;
      EXPECT_TRUE(at::equal(codes_of(entry).to(at::kLong), lists.entry));
    }
  }
}

/// `rows` [T, n]: the device's best `kept` of each row are those of best_of_row.
void check_best_of_rows(const at::Tensor& rows, int64_t kept) {
  const DeviceTensor device_rows(rows);
  const DeviceTensor places(at::full({rows.size(0), kept}, -1, at::kInt));
  const DeviceTensor values(at::zeros({rows.size(0), kept}, at::kFloat));
  const DeviceTensor counts(at::full({rows.size(0)}, -1, at::kInt));
  expect_success(cuda_part().best_of_rows({.rows = device_rows.data(),
                                           .rows_stride = device_rows.stride(),
                                           .tokens = rows.size(0),
                                           .features = rows.size(1),
                                           .kept = kept,
                                           .places = places.data<int32_t>(),
                                           .values = values.data(),
                                           .counts = counts.data<int32_t>()},
                                          nullptr));
  const at::Tensor found = places.read();
  const at::Tensor found_values = values.read();
  const at::Tensor found_counts = counts.read();
  kernels::BestScratch<float> scratch;
  for (int64_t t = 0; t < rows.size(0); ++t) {
    const auto* row = rows.const_data_ptr<float>() + t * rows.stride(0);
    std::vector<int32_t> best(static_cast<size_t>(kept));
    const int64_t count = kernels::best_of_row(row, rows.size(1), kept, scratch, best.data());
    ASSERT_EQ(found_counts[t].item<int64_t>(), count) << rows.sizes() << ", kept " << kept;
    for (int64_t j = 0; j < count; ++j) {
      const int32_t place = best[static_cast<size_t>(j)];
      ASSERT_EQ(found[t][j].item<int32_t>(), place) << rows.sizes() << ", kept " << kept;
      ASSERT_EQ(found_values[t][j].item<float>(), row[place]);
    }
  }
}

TEST_F(CudaKernels, BestOfRowsAreTheSame) {
  for (const int64_t n : {1, 7, 64, 1001, 9000}) {
    for (const int64_t kept : {1, 5, 64, 600}) {
      for (const double levels : {1.0, 20.0, 1e6}) {  // few levels: many ties
        const at::Tensor rows = random_matrix(4, n, static_cast<uint64_t>(n + kept));
        check_best_of_rows(rows.mul_(levels).round_(), kept);
      }
    }
  }
  check_best_of_rows(at::ones({2, 10000}), 100);     // more ties than fit beside each other
  check_best_of_rows(at::full({2, 300}, -1.0F), 3);  // none is positive
  check_best_of_rows(random_floats({1, 1 << 20}, 9), 512);
  check_best_of_rows(random_floats({3, 5000}, 9) * 1e-42, 40);  // denormal numbers
}

}  // namespace
}  // namespace crossloom::architectures
