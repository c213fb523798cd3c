// Input of tests/checks/layering_self_test.cmake; never compiled.
#pragma once
#include <models/hooks.h>  // FORBIDDEN
#include <mpi.h>

#include "../models/hooks.h"  // FORBIDDEN
#include "common/error.h"
