// Input of tests/checks/layering_self_test.cmake; never compiled.
#include <hdf5.h>             // FORBIDDEN
#include <mpi.h>              // FORBIDDEN
#include <nccl.h>             // FORBIDDEN
#include <yaml-cpp/yaml.h>    // FORBIDDEN

#include <vector>

#include "architectures/codes.h"
#include "common/communicator.h"     // FORBIDDEN
#include "common/mpi_environment.h"  // FORBIDDEN
#include "common/tensor.h"
#include "models/hooks.h"  // FORBIDDEN
