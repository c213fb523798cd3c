// Fast kernel bodies against the slow obvious version: a dense product in float64.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "architectures/kernels/best_of_row.h"
#include "architectures/kernels/decode.h"
#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/feature_pass.h"
#include "architectures/kernels/reductions.h"
#include "tests/architectures/staged_step.h"
#include "tests/support/instruction_sets.h"

namespace crossloom::architectures::test {
namespace {

struct Case {
  int64_t tokens;
  int64_t features;
  int64_t columns;
  int64_t per_token;  // codes of a token: 0 … per_token, changing from token to token
};

/// Whole vectors, tails of every kind, several panels, no codes at all.
const Case kCases[] = {{3, 4, 1, 2},   {5, 7, 15, 7},    {5, 7, 16, 3},     {9, 30, 63, 5},
                       {9, 30, 64, 5}, {40, 30, 65, 10}, {40, 30, 145, 30}, {33, 2000, 320, 9},
                       {1, 1, 576, 1}, {6, 5, 64, 0},    {2500, 20, 200, 4}};

/// Codes with strictly ascending features spread over F; row t has t mod (per_token + 1) of them.
LayerCodes make_codes(const Case& c, at::ScalarType type) {
  std::vector<int64_t> offsets = {0};
  std::vector<int32_t> index;
  for (int64_t t = 0; t < c.tokens; ++t) {
    const int64_t count = std::min(t % (c.per_token + 1), c.features);
    for (int64_t j = 0; j < count; ++j) {
      index.push_back(static_cast<int32_t>(j * c.features / count));
    }
    offsets.push_back(static_cast<int64_t>(index.size()));
  }
  return {.offsets = at::tensor(offsets, at::kLong),
          .index = at::tensor(index, at::kInt),
          .value = random_tensor({static_cast<int64_t>(index.size())}, type, 1)};
}

class Kernels : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  /// Sums of at most a few thousand products of size 1.
  double tolerance() const { return GetParam() == at::kFloat ? 2e-4 : 1e-11; }
  /// A view with unit column stride whose rows are far apart, as in fat rows.
  at::Tensor strided(int64_t rows, int64_t columns, uint64_t key) const {
    return random_tensor({rows, 3, columns + 5}, GetParam(), key)
        .select(1, 1)
        .narrow(1, 2, columns);
  }
};

constexpr kernels::DecodeWay kWays[] = {kernels::DecodeWay::kInPlace, kernels::DecodeWay::kPacked,
                                        kernels::DecodeWay::kByFeature};

/// Two targets; both sources write to the second one, through tables of their own.
TEST_P(Kernels, EveryWayToDecodeEqualsDenseProductsAndGivesTheSameBits) {
  for (const Case& c : kCases) {
    const LayerCodes early = make_codes(c, GetParam());
    LayerCodes late = early;
    late.value = random_tensor({early.count()}, GetParam(), 8);
    const at::Tensor tables[] = {strided(c.features, c.columns, 2),
                                 strided(c.features, c.columns, 4),
                                 strided(c.features, c.columns, 5)};
    const at::Tensor start[] = {strided(c.tokens, c.columns, 3), strided(c.tokens, c.columns, 6)};
    const auto product = [&](const LayerCodes& codes, const at::Tensor& table) {
      return at::mm(dense(codes, c.features).to(at::kDouble), table.to(at::kDouble));
    };
    const at::Tensor expected[] = {
        start[0].to(at::kDouble) + product(early, tables[0]),
        start[1].to(at::kDouble) + product(early, tables[1]) + product(late, tables[2])};
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
        EXPECT_LE(distance(y[i].to(at::kDouble), expected[i]), tolerance())
            << "columns " << c.columns << ", way " << static_cast<int>(way);
        EXPECT_TRUE(same_bits(y[i], chosen[i])) << "columns " << c.columns;
      }
    }
  }
}

/// Puts stretches where the parameter's gradient would be; every element once.
class CollectingStretches final : public GradientStretches {
 public:
  explicit CollectingStretches(const at::Tensor& into)
      : into_(into), taken_(at::zeros_like(into)) {}
  void take(int64_t first, int64_t count, const float* gradient) override {
    put(first, count, gradient);
  }
  void take(int64_t first, int64_t count, const double* gradient) override {
    put(first, count, gradient);
  }
  bool took_every_element_once() const { return taken_.eq(1).all().item<bool>(); }

 private:
  template <typename Real>
  void put(int64_t first, int64_t count, const Real* gradient) {
    for (int64_t i = first; i < first + count; ++i) {
      into_.mutable_data_ptr<Real>()[i] = gradient[i - first];
      taken_.mutable_data_ptr<Real>()[i] += 1;
    }
  }

  at::Tensor into_;
  at::Tensor taken_;
};

TEST_P(Kernels, AFeaturePassEqualsDenseProducts) {
  for (const Case& c : kCases) {
    LayerCodes codes = make_codes(c, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2);
    const at::Tensor table = strided(c.features, c.columns, 5);
    const at::Tensor storage = random_tensor({c.features, 2, c.columns}, GetParam(), 3);
    const at::Tensor other_target = storage.select(1, 0).clone();
    const at::Tensor gradient = storage.select(1, 1);
    const at::Tensor matrix = dense(codes, c.features).to(at::kDouble);
    const at::Tensor expected = gradient.to(at::kDouble) + at::mm(matrix.t(), rows.to(at::kDouble));
    const at::Tensor expected_reach =
        (at::mm(rows.to(at::kDouble), table.to(at::kDouble).t()) + 1.0) * matrix.ne(0);
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const at::Tensor reach = at::ones_like(codes.value);
    kernels::run_feature_passes(
        {{.lists = lists, .rows = rows, .gradient = gradient, .table = table, .reach = reach}});
    EXPECT_LE(distance(gradient.to(at::kDouble), expected), tolerance());
    EXPECT_TRUE(at::equal(storage.select(1, 0), other_target)) << "wrote into a neighbour's row";
    codes.value = at::empty_like(reach).index_copy_(0, lists.entry, reach);
    EXPECT_LE(distance(dense(codes, c.features).to(at::kDouble), expected_reach), tolerance());
    const at::Tensor bias = at::zeros({c.features}, GetParam());
    kernels::add_weight_sums(lists, bias);
    EXPECT_LE(distance(bias.to(at::kDouble), matrix.sum(0)), tolerance());
  }
}

TEST_P(Kernels, AFeaturePassDeliversEveryElementOnce) {
  for (const Case& c : kCases) {
    const LayerCodes codes = make_codes(c, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2);
    const at::Tensor start = random_tensor({c.features}, GetParam(), 6);
    const at::Tensor start_row = random_tensor({c.columns}, GetParam(), 7);
    const at::Tensor table = random_tensor({c.features, c.columns}, GetParam(), 5);
    const at::Tensor sums =
        at::mm(dense(codes, c.features).to(at::kDouble).t(), rows.to(at::kDouble));
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    for (const bool with_table : {false, true}) {
      for (const bool with_start : {false, true}) {
        const at::Tensor parameter = at::zeros({2, c.features, c.columns}, GetParam());
        CollectingStretches first(parameter[0]);
        CollectingStretches second(parameter.view({-1}));
        kernels::FeaturePass pass{.lists = lists,
                                  .rows = rows,
                                  .table = with_table ? table : at::Tensor(),
                                  .reach = with_table ? at::zeros_like(codes.value) : at::Tensor(),
                                  .start = with_start ? start : at::Tensor(),
                                  .start_row = with_start && !with_table ? start_row : at::Tensor(),
                                  .stretches = &first,
                                  .row_stride = c.columns};
        kernels::run_feature_passes({pass});
        EXPECT_TRUE(first.took_every_element_once());
        pass.stretches = &second;
        pass.first_element = c.features * c.columns;
        kernels::run_feature_passes({pass});
        at::Tensor expected = sums;
        if (with_start) {
          const at::Tensor& scaled = with_table ? table : start_row;
          expected = sums + start.to(at::kDouble).unsqueeze(1) * scaled.to(at::kDouble);
        }
        EXPECT_LE(distance(parameter[0].to(at::kDouble), expected), tolerance());
        EXPECT_TRUE(same_bits(parameter[0], parameter[1]));
      }
    }
  }
}

TEST_P(Kernels, AFeaturePassWithoutGradientGivesTheSameReach) {
  for (const Case& c : kCases) {
    const LayerCodes codes = make_codes(c, GetParam());
    const at::Tensor rows = strided(c.tokens, c.columns, 2);
    const at::Tensor table = strided(c.features, c.columns, 5);
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const at::Tensor gradient = at::zeros({c.features, c.columns}, GetParam());
    const at::Tensor reach = at::zeros_like(codes.value);
    const at::Tensor alone = at::zeros_like(codes.value);
    kernels::run_feature_passes(
        {{.lists = lists, .rows = rows, .gradient = gradient, .table = table, .reach = reach}});
    kernels::run_feature_passes({{.lists = lists, .rows = rows, .table = table, .reach = alone}});
    EXPECT_TRUE(same_bits(reach, alone));
  }
}

/// A table in bfloat16 counts as the float32 table of the same numbers, bit for bit.
TEST(SparseKernels, StoredHalvesCountAsTheirNumbers) {
  for (const Case& c : kCases) {
    const LayerCodes codes = make_codes(c, at::kFloat);
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
    const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
    const auto run = [&](const at::Tensor& weights, const at::Tensor& gradient) {
      const at::Tensor reach = at::zeros_like(codes.value);
      kernels::run_feature_passes(
          {{.lists = lists, .rows = rows, .gradient = gradient, .table = weights, .reach = reach}});
      return reach;
    };
    const at::Tensor gradient = at::zeros_like(table);
    const at::Tensor gradient_stored = at::zeros_like(table);
    EXPECT_TRUE(same_bits(run(table, gradient), run(stored, gradient_stored)));
    EXPECT_TRUE(same_bits(gradient, gradient_stored));
  }
}

TEST_P(Kernels, ColumnSumsEqualAFloat64Sum) {
  const at::Tensor rows = strided(300, 270, 4);
  EXPECT_LE(distance(kernels::column_sums(rows), rows.to(at::kDouble).sum(0)), 1e-12);
}

TEST_P(Kernels, ColumnSlicesAndThreadsDoNotChangeTheBitsOfADecode) {
  const Case c{200, 50, 320, 10};
  const LayerCodes codes = make_codes(c, GetParam());
  const at::Tensor table = random_tensor({c.features, c.columns}, GetParam(), 2);
  for (const auto way : kWays) {
    const at::Tensor whole = at::zeros({c.tokens, c.columns}, GetParam());
    const at::Tensor parts = at::zeros_like(whole);
    kernels::run_decode({{whole, {{&codes, table}}}}, way);
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    for (int64_t begin = 0; begin < c.columns; begin += kernels::kColumnUnit) {
      kernels::run_decode({{parts.narrow(1, begin, kernels::kColumnUnit),
                            {{&codes, table.narrow(1, begin, kernels::kColumnUnit)}}}},
                          way);
    }
    at::set_num_threads(threads);
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
    const at::Tensor dots = weight.to(at::kDouble) + at::mv(rows, x.to(at::kDouble));
    const auto* stored = kernels::stored_data<Stored>(table);
    const at::Tensor y = x.clone();
    const at::Tensor out = weight.clone();
    kernels::gather_add(count, index.data(), weight.const_data_ptr<Real>(), stored, stride, n,
                        y.mutable_data_ptr<Real>());
    kernels::gather_dot(count, index.data(), stored, stride, n, x.const_data_ptr<Real>(),
                        out.mutable_data_ptr<Real>());
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
    EXPECT_LE(distance(out.to(at::kDouble), dots), tolerance) << "n " << n;
  }
}

TEST(RowKernels, EveryInstructionSetEqualsPlainSums) {
  crossloom::test::for_every_instruction_set([] {
    check_row_kernels<float, float>(1e-5);
    check_row_kernels<float, kernels::bfloat16_t>(1e-5);
    check_row_kernels<double, double>(1e-13);
  });
}

TEST(FeaturePasses, EveryInstructionSetEqualsDenseProducts) {
  const Case c{40, 30, 145, 12};
  const LayerCodes codes = make_codes(c, at::kFloat);
  const at::Tensor rows = random_tensor({c.tokens, c.columns}, at::kFloat, 2);
  const at::Tensor expected =
      at::mm(dense(codes, c.features).to(at::kDouble).t(), rows.to(at::kDouble));
  const auto lists = kernels::group_by_feature(codes, codes.value, c.features);
  crossloom::test::for_every_instruction_set([&] {
    const at::Tensor gradient = at::zeros({c.features, c.columns}, at::kFloat);
    kernels::run_feature_passes({{.lists = lists, .rows = rows, .gradient = gradient}});
    EXPECT_LE(distance(gradient.to(at::kDouble), expected), 2e-4);
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
  const LayerCodes codes = make_codes({4, 6, 8, 2}, at::kFloat);
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
