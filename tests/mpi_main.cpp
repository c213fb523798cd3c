// GoogleTest's main under mpirun: failures carry the rank, and every rank returns the same
// verdict. A rank that fails alone while the others wait is ended by ctest's time limit.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>

#include "common/log.h"
#include "common/mpi_environment.h"
#include "common/repeatable_products.h"

namespace {

class RankPrinter : public ::testing::EmptyTestEventListener {
 public:
  explicit RankPrinter(int rank) : rank_(rank) {}
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (result.failed()) {
      std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_,
                   result.file_name() == nullptr ? "?" : result.file_name(), result.line_number(),
                   result.message());
    }
  }

 private:
  int rank_;
};

}  // namespace

int main(int argc, char** argv) {
  crossloom::make_products_repeatable();
  crossloom::MpiEnvironment environment(&argc, &argv);
  crossloom::log::set_speaker(environment.rank(), environment.size());
  ::testing::InitGoogleTest(&argc, argv);
  if (environment.rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new RankPrinter(environment.rank()));
  }
  int code = RUN_ALL_TESTS();
  if (environment.active()) {
    MPI_Allreduce(MPI_IN_PLACE, &code, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  }
  return code;
}
