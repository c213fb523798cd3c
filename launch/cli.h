// The command line: finds the command, fills its options from --config, flags and --set.
#pragma once

#include <string>
#include <vector>

#include "launch/command.h"

namespace crossloom::launch {

struct Invocation {
  const Command* command = nullptr;  // null: only text was asked for (--help, --version)
  std::unique_ptr<Options> options;
  bool dry_run = false;
  std::string text;  // what to print when command is null
};

/// Throws ConfigError for unknown commands and flags, naming the nearest.
Invocation parse_command_line(const std::vector<std::string>& arguments);

}  // namespace crossloom::launch
