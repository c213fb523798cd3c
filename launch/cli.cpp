// See cli.h. CLI11 does the parsing; flags are generated from the options struct, so that a new
// option needs no line here. Later sources win: defaults < --config < flags and --set, in order.
#include "launch/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "common/error.h"
#include "common/nearest.h"

namespace crossloom::launch {
namespace {

/// Dotted names of all leaf options, and which of them are switches.
class FlagCollector : public OptionVisitor {
 public:
  struct Flag {
    std::string name, help, value;
    bool is_switch = false;
    bool is_list = false;
  };
  std::vector<Flag> flags;

  void field(const char* key, bool& value, const char* help) override {
    flags.push_back({prefix_ + key, help, value ? "true" : "false", true, false});
  }
  void field(const char* key, int64_t& value, const char* help) override {
    flags.push_back({prefix_ + key, help, fmt::format("{}", value), false, false});
  }
  void field(const char* key, double& value, const char* help) override {
    flags.push_back({prefix_ + key, help, fmt::format("{}", value), false, false});
  }
  void field(const char* key, std::string& value, const char* help) override {
    flags.push_back({prefix_ + key, help, value, false, false});
  }
  void field(const char* key, std::vector<std::string>& value, const char* help) override {
    flags.push_back({prefix_ + key, help, fmt::format("{}", fmt::join(value, ",")), false, true});
  }
  void group(const char* key, Options& value, const char*) override {
    const std::string outer = prefix_;
    prefix_ += std::string(key) + ".";
    value.visit(*this);
    prefix_ = outer;
  }

 private:
  std::string prefix_;
};

std::string version_text() {
  return fmt::format("crossloom {}\n", CROSSLOOM_VERSION);
}

std::string overview() {
  std::string text =
      "crossloom: from a language model and text to a trained cross-layer transcoder and its\n"
      "attribution graphs.\n\nusage: crossloom COMMAND [options]      crossloom COMMAND --help\n\n";
  for (const auto& command : commands()) {
    text += fmt::format("  {:<12} {}\n", command.name, command.summary);
  }
  return text + "\nSeveral processes: mpirun -np 2 crossloom COMMAND …\n";
}

/// The known name that was meant, where one is near.
std::string suggestion(const std::string& name, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(name, known);
  return 2 * edit_distance(name, nearest) <= name.size()
             ? fmt::format("Did you mean '{}'?", nearest)
             : std::string("--help lists what there is.");
}

const Command& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& command : commands()) {
    if (command.name == name) {
      return command;
    }
    names.push_back(command.name);
  }
  throw ConfigError({.what = fmt::format("There is no command '{}'", name),
                     .expected = fmt::format("one of: {}", fmt::join(names, ", ")),
                     .got = name,
                     .where = "command line",
                     .hint = suggestion(name, names)});
}

/// A value given on the command line, quoted so that YAML reads it as text when the option is text.
std::string as_yaml(const FlagCollector::Flag& flag, const std::vector<std::string>& values) {
  if (!flag.is_list) {
    return values.back();
  }
  std::string list = "[";
  for (const auto& value : values) {
    std::string quoted = "\"";
    for (const char c : value) {
      quoted += (c == '"' || c == '\\') ? std::string{'\\', c} : std::string{c};
    }
    list += (list.size() > 1 ? ", " : "") + quoted + "\"";
  }
  return list + "]";
}

/// Text options take the flag's value literally; only other kinds go through YAML.
class TextSetter : public OptionVisitor {
 public:
  TextSetter(const std::string& name, const std::string& value) : name_(name), value_(value) {}
  bool done = false;
  void field(const char*, bool&, const char*) override {}
  void field(const char*, int64_t&, const char*) override {}
  void field(const char*, double&, const char*) override {}
  void field(const char*, std::vector<std::string>&, const char*) override {}
  void field(const char* key, std::string& value, const char*) override {
    if (prefix_ + key == name_) {
      value = value_;
      done = true;
    }
  }
  void group(const char* key, Options& value, const char*) override {
    const std::string outer = prefix_;
    prefix_ += std::string(key) + ".";
    value.visit(*this);
    prefix_ = outer;
  }

 private:
  const std::string& name_;
  const std::string& value_;
  std::string prefix_;
};

void apply_flag(Options& options, const FlagCollector::Flag& flag,
                const std::vector<std::string>& values) {
  TextSetter setter(flag.name, values.back());
  options.visit(setter);
  if (!setter.done) {
    read_options_text(options, "", "command line", {flag.name + "=" + as_yaml(flag, values)});
  }
}

std::string option_name(const std::string& key, bool positional) {
  std::string dashed = key;
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  std::string names = "--" + key;
  names += dashed == key ? "" : ",--" + dashed;
  return positional ? key + "," + names : names;
}

/// Long flags this command knows, dashes instead of underscores included.
std::vector<std::string> known_flags(const std::vector<FlagCollector::Flag>& flags) {
  std::vector<std::string> known{"--config", "--set", "--dry-run", "--help"};
  for (const auto& flag : flags) {
    known.push_back("--" + flag.name);
  }
  return known;
}

/// CLI11 would take an unknown flag for a positional argument: refuse it by name first.
void refuse_unknown_flags(const std::vector<std::string>& arguments,
                          const std::vector<FlagCollector::Flag>& flags) {
  const auto known = known_flags(flags);
  for (const auto& argument : arguments) {
    std::string name = argument.substr(0, argument.find('='));
    const bool is_flag = name.rfind("--", 0) == 0 && name.size() > 2;
    const std::string as_given = name;
    if (name != "--dry-run") {
      std::replace(name.begin() + (is_flag ? 2 : 0), name.end(), '-', '_');
    }
    if (is_flag && std::find(known.begin(), known.end(), name) == known.end()) {
      throw ConfigError({.what = fmt::format("There is no flag '{}'", as_given),
                         .expected = fmt::format("one of: {}", fmt::join(known, ", ")),
                         .got = as_given,
                         .where = fmt::format("crossloom {}", arguments[0]),
                         .hint = suggestion(name, known)});
    }
  }
}

}  // namespace

Invocation parse_command_line(const std::vector<std::string>& arguments) {
  Invocation invocation;
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" ||
      arguments[0] == "help") {
    invocation.text = overview();
    return invocation;
  }
  if (arguments[0] == "--version") {
    invocation.text = version_text();
    return invocation;
  }
  const Command& command = find_command(arguments[0]);
  invocation.options = command.make_options();
  FlagCollector collector;
  invocation.options->visit(collector);

  refuse_unknown_flags(arguments, collector.flags);

  CLI::App app(command.summary, command.name);
  std::string config;
  std::vector<std::string> overrides;
  std::vector<std::vector<std::string>> values(collector.flags.size());
  std::vector<CLI::Option*> entries;
  for (size_t i = 0; i < collector.flags.size(); ++i) {
    const auto& flag = collector.flags[i];
    const bool positional = std::find(command.positionals.begin(), command.positionals.end(),
                                      flag.name) != command.positionals.end();
    auto* entry = app.add_option(option_name(flag.name, positional), values[i], flag.help);
    entry->default_str(flag.value)->type_name("");
    // CLI11 takes the default text for the value of a switch that stands alone.
    flag.is_switch ? entry->expected(0, 1)->default_str("true")->option_text("=" + flag.value)
                   : entry->expected(1, flag.is_list ? -1 : 1);
    entries.push_back(entry);
  }
  app.add_option("--config", config, "YAML file with any of these options")->type_name("FILE");
  app.add_option("--set", overrides, "override, e.g. --set a.b=c (repeatable)")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--dry-run", invocation.dry_run, "print resolved options and costs, then stop");
  std::vector<std::string> rest(arguments.rbegin(),
                                arguments.rend() - 1);  // CLI11 wants them reversed
  try {
    app.parse(rest);
  } catch (const CLI::CallForHelp&) {
    invocation.text = app.help();
    return invocation;
  } catch (const CLI::ParseError& error) {
    throw ConfigError({.what = "The command line cannot be understood",
                       .expected = fmt::format(
                           "{} [--option value …], every option at most once (--set: any number)",
                           fmt::join(command.positionals, " ")),
                       .got = error.what(),
                       .where = fmt::format("crossloom {}", command.name),
                       .hint = fmt::format("See crossloom {} --help.", command.name)});
  }
  read_options(*invocation.options, config, {});
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i]->count() > 0) {
      apply_flag(*invocation.options, collector.flags[i],
                 values[i].empty() || (collector.flags[i].is_switch && values[i].back().empty())
                     ? std::vector<std::string>{"true"}
                     : values[i]);
    }
  }
  read_options_text(*invocation.options, "", "command line", overrides);
  invocation.command = &command;
  return invocation;
}

}  // namespace crossloom::launch
