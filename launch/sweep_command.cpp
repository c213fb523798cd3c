// crossloom sweep FILE.yaml: many transcoders on the same shards, one after another, each
// evaluated; one table and one plot. Everything that can be refused is refused before the first
// training; a second start goes on where the first one stopped.
#include "common/log.h"
#include "launch/commands.h"
#include "launch/sweep.h"

namespace crossloom::launch {
namespace {

struct SweepOptions : Options {
  std::string file;
  std::string data;
  std::string output;
  std::string model;
  std::string prompts;
  void visit(OptionVisitor& v) override {
    v.field("file", file, "YAML file of the sweep (launch/configs has an example)");
    v.field("data", data, "folder of shards; empty: as the file says");
    v.field("output", output, "sweep folder; empty: as the file says");
    v.field("model", model, "host model folder; empty: as the file says");
    v.field("prompts", prompts, "JSONL file of prompts; empty: as the file says");
  }
};

SweepFile read_file(const SweepOptions& options) {
  require_set("file", options.file, "sweep file");
  SweepFile file = read_sweep_file(options.file);
  const auto replace = [](std::string& value, const std::string& given) {
    value = given.empty() ? value : given;
  };
  replace(file.data, options.data);
  replace(file.output, options.output);
  replace(file.model, options.model);
  replace(file.prompts, options.prompts);
  require_set("data", file.data, "folder of shards");
  require_set("output", file.output, "sweep folder");
  require_at_least("windows", file.windows, 1);
  return file;
}

void run(SweepOptions& options, Context& context) {
  auto& communicator = context.communicator;
  std::unique_ptr<SweepFile> file;
  std::unique_ptr<data::ShardSet> shards;
  std::unique_ptr<Sweep> sweep;
  communicator.agree([&] {
    file = std::make_unique<SweepFile>(read_file(options));
    shards = std::make_unique<data::ShardSet>(file->data);
    sweep = std::make_unique<Sweep>(*file, *shards, communicator);
  });
  sweep->check();
  if (communicator.rank() == 0) {
    if (context.dry_run) {
      fmt::print("{}\n", sweep->plan());
    } else {
      log::line(sweep->plan());
    }
  }
  if (!context.dry_run) {
    sweep->run();
  }
}

}  // namespace

Command sweep_command() {
  return make_command<SweepOptions>("sweep", "train and compare many transcoders; one table",
                                    {"file"}, run);
}

}  // namespace crossloom::launch
