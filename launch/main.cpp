#include "launch/program.h"

int main(int argc, char** argv) {
  return crossloom::launch::run_program(argc, argv);
}
