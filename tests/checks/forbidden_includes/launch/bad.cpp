// Input of tests/checks/layering_self_test.cmake; never compiled.
#include "tests/helper.h"  // FORBIDDEN
#include "trainer/trainer.h"
