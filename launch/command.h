// What a subcommand is: a name, its options (a struct; options.h), its positional arguments and a
// function. The command line is built from that (cli.cpp): every option `a.b` is also a flag
// `--a.b VALUE`, and every command takes --config FILE, --set a.b=c and --dry-run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/communicator.h"
#include "common/options.h"

namespace crossloom::launch {

struct Context {
  Communicator& communicator;
  bool dry_run = false;
};

struct Command {
  std::string name;
  std::string summary;                   // one line
  std::vector<std::string> positionals;  // option keys filled by position
  std::function<std::unique_ptr<Options>()> make_options;
  std::function<void(Options&, Context&)> run;
};

/// A command whose options are an `O`.
template <typename O>
Command make_command(std::string name, std::string summary, std::vector<std::string> positionals,
                     void (*run)(O&, Context&)) {
  return {std::move(name), std::move(summary), std::move(positionals),
          [] { return std::make_unique<O>(); },
          [run](Options& options, Context& context) { run(static_cast<O&>(options), context); }};
}

/// The table of commands, in the order of --help (commands.cpp).
const std::vector<Command>& commands();

/// Throws ConfigError unless `value` is set.
void require_set(const char* key, const std::string& value, const char* what);

}  // namespace crossloom::launch
