// The NCCL back end (part of libcrossloom_cuda.so): device memory, one process per GPU. The unique
// id travels over another communicator (MPI, or threads in tests).
#pragma once

#include <memory>

#include "common/communicator.h"

namespace crossloom {

/// Collective over `bootstrap`. Throws DistError with CUDA's or NCCL's own text.
std::unique_ptr<Communicator> make_nccl_communicator(Communicator& bootstrap, int device);

}  // namespace crossloom
