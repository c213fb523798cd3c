// The whole program as a function, so that a main of your own can add rows to the registry first
// (examples/own_architecture).
#pragma once

namespace crossloom::launch {

/// MPI, then the command line, then the command. Returns the exit code: 0, 1 failed, 2 wrong usage.
/// One catch for everything: the failing rank prints its one-screen message and ends the job on all
/// ranks.
int run_program(int argc, char** argv);

}  // namespace crossloom::launch
