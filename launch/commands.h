// One function per subcommand, each in its own file.
#pragma once

#include "launch/command.h"

namespace crossloom::launch {

Command harvest_command();
Command train_command();
Command eval_command();
Command graph_command();
Command calibrate_command();
Command sweep_command();
Command inspect_command();
Command generate_command();
Command perplexity_command();
Command prompts_command();
Command bench_command();

}  // namespace crossloom::launch
