// Input of tests/checks/layering_self_test.cmake; never compiled.
#include <data.h>

  #  include "trainer/trainer.h"       // FORBIDDEN
#include "architectures/codes.h"  // FORBIDDEN
#include "models/hooks.h"
// #include "launch/in_a_comment.h"
