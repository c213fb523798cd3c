// The size at which dense tools fail: 2,300 positions × 26 layers and 7,500 features, 69,610 nodes.
// Its dense square is 39 GB in float64.
#include <gtest/gtest.h>

#include "tests/eval/large_graph.h"

namespace crossloom::eval {
namespace {

constexpr double kLimit_bytes = 8e9;

TEST(HugeGraph, PrunesWithinMemory) {
  EXPECT_LT(testing::measure_large_graph({.positions = 2300,
                                          .features_per_layer = 289,
                                          .features_per_row = 3000,
                                          .error_positions = 2300}),
            kLimit_bytes);
}

}  // namespace
}  // namespace crossloom::eval
