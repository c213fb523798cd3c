// One body of checks for every back end and rank count: thread (thread_communicator_test.cpp),
// single and MPI (communicator_mpi_test.cpp). Inputs are small dyadic numbers, so that sums are
// exact in every element type and any order; expected values are computed directly.
#pragma once

#include "common/communicator.h"

namespace crossloom {

void check_all_reduce(Communicator& communicator);
void check_reduce_scatter(Communicator& communicator);
void check_broadcast(Communicator& communicator);
void check_all_gather(Communicator& communicator);
void check_all_to_all(Communicator& communicator);
void check_scalars(Communicator& communicator);
void check_agree(Communicator& communicator);
void check_unsupported_types(Communicator& communicator);

/// All of them, twice over, with a barrier between.
void check_communicator(Communicator& communicator);

}  // namespace crossloom
