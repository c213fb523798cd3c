// Fast kernel bodies against the slow obvious version: a dense product in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/decode.h"
#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/reductions.h"
#include "tests/architectures/kernel_cases.h"
#include "tests/support/instruction_sets.h"
#include "tests/support/threads.h"

namespace crossloom::architectures::test {
namespace {

class Kernels : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor rows_of(int64_t rows, int64_t columns, uint64_t key) const {
    return strided(rows, columns, key, GetParam());
  }
};

constexpr kernels::DecodeWay kWays[] = {kernels::DecodeWay::kInPlace, kernels::DecodeWay::kPacked,
                                        kernels::DecodeWay::kByFeature};

/// Two targets; both sources write to the second one, through tables of their own.
TEST_P(Kernels, EveryWayToDecodeEqualsDenseProductsAndGivesTheSameBits) {
  for (const Case& c : kCases) {
    const LayerCodes early = crossloom::test::random_codes(c, 1, GetParam());
    LayerCodes late = early;
    late.value = random_tensor({early.count()}, GetParam(), 8);
    const at::Tensor tables[] = {rows_of(c.features, c.columns, 2),
                                 rows_of(c.features, c.columns, 4),
                                 rows_of(c.features, c.columns, 5)};
    const at::Tensor start[] = {rows_of(c.tokens, c.columns, 3), rows_of(c.tokens, c.columns, 6)};
    const auto product = [&](const LayerCodes& codes, const at::Tensor& table) {
      return Product(dense(codes, c.features), table);
    };
    const Product expected[] = {
        product(early, tables[0]).plus(start[0]),
        product(early, tables[1]).plus(product(late, tables[2])).plus(start[1])};
    const auto decoded = [&](std::optional<kernels::DecodeWay> way) {
      const std::vector<at::Tensor> y = {start[0].clone(), start[1].clone()};
      kernels::run_decode(
          {{y[0], {{&early, tables[0]}}}, {y[1], {{&early, tables[1]}, {&late, tables[2]}}}}, way);
      return y;
    };
    const auto chosen = decoded({});
    for (const auto way : kWays) {
      const auto y = decoded(way);
      for (size_t i = 0; i < y.size(); ++i) {
        EXPECT_LE(relative_error(y[i], expected[i]), rounding_of(GetParam()))
            << "columns " << c.columns << ", way " << static_cast<int>(way);
        EXPECT_TRUE(same_bits(y[i], chosen[i])) << "columns " << c.columns;
      }
    }
  }
}

/// A table in bfloat16 counts as the float32 table of the same numbers, bit for bit.
TEST(SparseKernels, StoredHalvesCountAsTheirNumbers) {
  for (const Case& c : kCases) {
    const LayerCodes codes = crossloom::test::random_codes(c, 1, at::kFloat);
    const at::Tensor stored =
        random_tensor({c.features, c.columns}, at::kFloat, 2).to(at::kBFloat16);
    const at::Tensor table = stored.to(at::kFloat);
    const at::Tensor rows = random_tensor({c.tokens, c.columns}, at::kFloat, 3);
    const at::Tensor y = rows.clone();
    const at::Tensor y_stored = rows.clone();
    for (const auto way : kWays) {
      kernels::run_decode({{y, {{&codes, table}}}}, way);
      kernels::run_decode({{y_stored, {{&codes, stored}}}}, way);
      EXPECT_TRUE(same_bits(y, y_stored));
    }
  }
}

TEST_P(Kernels, ColumnSumsEqualAFloat64Sum) {
  const at::Tensor rows = rows_of(300, 270, 4);
  EXPECT_LE(distance(kernels::column_sums(rows), rows.to(at::kDouble).sum(0)), 1e-12);
}

TEST_P(Kernels, ColumnSlicesAndThreadsDoNotChangeTheBitsOfADecode) {
  const Case c{200, 50, 320, 10};
  const LayerCodes codes = crossloom::test::random_codes(c, 1, GetParam());
  const at::Tensor table = random_tensor({c.features, c.columns}, GetParam(), 2);
  for (const auto way : kWays) {
    const at::Tensor whole = at::zeros({c.tokens, c.columns}, GetParam());
    const at::Tensor parts = at::zeros_like(whole);
    kernels::run_decode({{whole, {{&codes, table}}}}, way);
    const crossloom::test::Threads one(1);
    for (int64_t begin = 0; begin < c.columns; begin += kColumnUnit) {
      kernels::run_decode(
          {{parts.narrow(1, begin, kColumnUnit), {{&codes, table.narrow(1, begin, kColumnUnit)}}}},
          way);
    }
    EXPECT_TRUE(same_bits(whole, parts));
  }
}

template <typename Real, typename Stored>
void check_row_kernels(double tolerance) {
  const std::vector<int32_t> index = {4, 0, 7, 7, 2};
  const auto count = static_cast<int64_t>(index.size());
  for (const int64_t n : {0, 1, 7, 16, 31, 64, 100, 333}) {
    const int64_t stride = n + 3;
    const auto type = c10::CppTypeToScalarType<Real>::value;
    const bool is_half = !std::is_same_v<Real, Stored>;
    const at::Tensor table = random_tensor({8, stride}, type, 1).to(is_half ? at::kBFloat16 : type);
    const at::Tensor weight = random_tensor({count}, type, 2);
    const at::Tensor x = random_tensor({n}, type, 3);
    const at::Tensor rows =
        table.index_select(0, at::tensor(index, at::kInt)).narrow(1, 0, n).to(at::kDouble);
    const at::Tensor sum = x.to(at::kDouble) + at::mv(rows.t(), weight.to(at::kDouble));
    const auto* stored = kernels::stored_data<Stored>(table);
    const at::Tensor y = x.clone();
    kernels::gather_add(count, index.data(), weight.const_data_ptr<Real>(), stored, stride, n,
                        y.mutable_data_ptr<Real>());
    const std::vector<int64_t> offsets = {0, 2, 2, 5};  // of features 0, 1, 2
    const std::vector<int32_t> tokens = {0, 2, 0, 1, 2};
    const at::Tensor scattered = at::zeros({3, n}, type);
    kernels::scatter_add({offsets.data(), tokens.data(), weight.const_data_ptr<Real>(), 3}, stored,
                         stride, n, scattered.mutable_data_ptr<Real>(), n);
    const at::Tensor by_feature = at::zeros({3, 3}, at::kDouble);  // [token, feature]
    for (int64_t j = 0; j < count; ++j) {
      by_feature[tokens[static_cast<size_t>(j)]][j < 2 ? 0 : 2] = weight[j];
    }
    const at::Tensor product =
        at::mm(by_feature, table.narrow(0, 0, 3).narrow(1, 0, n).to(at::kDouble));
    EXPECT_LE(distance(scattered.to(at::kDouble), product), tolerance) << "n " << n;
    EXPECT_LE(distance(y.to(at::kDouble), sum), tolerance) << "n " << n;
  }
}

TEST(RowKernels, EveryInstructionSetEqualsPlainSums) {
  crossloom::test::for_every_instruction_set([] {
    check_row_kernels<float, float>(1e-5);
    check_row_kernels<float, kernels::bfloat16_t>(1e-5);
    check_row_kernels<double, double>(1e-13);
  });
}

template <typename Real>
std::vector<int32_t> sorted_best(const std::vector<Real>& row, int64_t kept) {
  std::vector<int32_t> places;
  for (size_t i = 0; i < row.size(); ++i) {
    if (row[i] > 0) {
      places.push_back(static_cast<int32_t>(i));
    }
  }
  std::stable_sort(places.begin(), places.end(), [&](int32_t a, int32_t b) {
    return row[static_cast<size_t>(a)] > row[static_cast<size_t>(b)];
  });
  places.resize(std::min(places.size(), static_cast<size_t>(kept)));
  std::sort(places.begin(), places.end());
  return places;
}

template <typename Real>
void check_best_of_row() {
  kernels::BestScratch<Real> scratch;
  for (const int64_t n : {0, 1, 7, 16, 33, 1000}) {
    for (const int64_t kept : {1, 2, 8, 40}) {
      for (const double levels : {2.0, 20.0, 1e6}) {  // few levels: many ties
        const at::Tensor random = random_tensor({n}, c10::CppTypeToScalarType<Real>::value,
                                                static_cast<uint64_t>(n + kept));
        const at::Tensor values = (random * levels).round();
        const Real* data = values.const_data_ptr<Real>();
        std::vector<int32_t> places(static_cast<size_t>(kept));
        places.resize(
            static_cast<size_t>(kernels::best_of_row(data, n, kept, scratch, places.data())));
        EXPECT_EQ(places, sorted_best(std::vector<Real>(data, data + n), kept))
            << "n " << n << ", kept " << kept << ", levels " << levels;
      }
    }
  }
}

TEST(BestOfRow, EveryInstructionSetEqualsASort) {
  crossloom::test::for_every_instruction_set([] {
    check_best_of_row<float>();
    check_best_of_row<double>();
  });
}

INSTANTIATE_TEST_SUITE_P(Types, Kernels, ::testing::Values(at::kFloat, at::kDouble));

TEST(SparseKernels, GroupsAscendByToken) {
  const LayerCodes codes{.offsets = at::tensor({0, 2, 3, 5}, at::kLong),
                         .index = at::tensor({1, 3, 3, 0, 3}, at::kInt),
                         .value = at::tensor({10.0, 11.0, 12.0, 13.0, 14.0}, at::kDouble)};
  const auto lists = kernels::group_by_feature(codes, codes.value, 4);
  EXPECT_TRUE(at::equal(lists.offsets, at::tensor({0, 1, 2, 2, 5}, at::kLong)));
  EXPECT_TRUE(at::equal(lists.token, at::tensor({2, 0, 0, 1, 2}, at::kInt)));
  EXPECT_TRUE(at::equal(lists.weight, at::tensor({13.0, 10.0, 11.0, 12.0, 14.0}, at::kDouble)));
  EXPECT_THROW(kernels::group_by_feature(codes, codes.value, 3), InternalError);
}

TEST(SparseKernels, OtherScalarTypesAndShapesAreRefused) {
  const LayerCodes codes = crossloom::test::random_codes({4, 6, 8, 2}, 1, at::kFloat);
  const at::Tensor table = at::zeros({6, 8}, at::kFloat);
  const auto decode = [&](const at::Tensor& rows, const at::Tensor& y) {
    kernels::run_decode({{y, {{&codes, rows}}}});
  };
  EXPECT_THROW(decode(table, at::zeros({5, 8}, at::kFloat)), InternalError);
  EXPECT_THROW(decode(table, at::zeros({4, 8}, at::kDouble)), InternalError);
  EXPECT_THROW(decode(table.t(), at::zeros({4, 6}, at::kFloat)), InternalError);
}

}  // namespace
}  // namespace crossloom::architectures::test
