// A graph of 20,000 nodes and 5 million edges, pruned, scored and written without a dense matrix
// (which would take 3.2 GB in float64, and pruning by sorting about ten times that).
#include <gtest/gtest.h>

#include "tests/eval/large_graph.h"

namespace crossloom::eval {
namespace {

// 12 bytes an entry for rows (their vectors may hold twice that while growing), 8 for scores.
constexpr double kLimit_bytes = 0.4e9;

TEST(LargeGraph, PrunesWithinMemory) {
  EXPECT_LT(testing::measure_large_graph({}), kLimit_bytes);
}

}  // namespace
}  // namespace crossloom::eval
