// Input of tests/checks/layering_self_test.cmake; never compiled.
#include "data/batch.h"
#include "trainer/checkpoint.h"  // FORBIDDEN
