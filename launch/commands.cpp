// The table of commands, in the order of --help.
#include "launch/commands.h"

#include "common/error.h"
#include "launch/command.h"

namespace crossloom::launch {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      harvest_command(),  train_command(),      eval_command(),    graph_command(),
      sweep_command(),    calibrate_command(),  prompts_command(), inspect_command(),
      generate_command(), perplexity_command(), bench_command()};
  return table;
}

void require_set(const char* key, const std::string& value, const char* what) {
  if (value.empty()) {
    throw ConfigError({.what = fmt::format("No {} was given", what),
                       .expected = fmt::format("--{} {}", key, what),
                       .got = "nothing",
                       .where = key,
                       .hint = "See --help."});
  }
}

}  // namespace crossloom::launch
