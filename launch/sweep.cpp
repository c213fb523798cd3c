#include "launch/sweep.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>

#include "architectures/parameter_count.h"
#include "common/log.h"
#include "eval/prompt_file.h"
#include "launch/equal_l0.h"
#include "launch/graph_scores.h"
#include "launch/point_config.h"
#include "launch/run_memory.h"
#include "launch/sweep_report.h"
#include "launch/sweep_table.h"
#include "launch/trained_session.h"
#include "trainer/initial_transcoder.h"

namespace crossloom::launch {
namespace {

const char* state_name(PointState state) {
  switch (state) {
    case PointState::kNew:
      return "new";
    case PointState::kStarted:
      return "started";
    case PointState::kFinished:
      return "finished";
  }
  return "";
}

/// Errors of options name whose they are.
void naming(const std::string& owner, const std::function<void()>& work) {
  try {
    work();
  } catch (const ConfigError& error) {
    ErrorReport report = error.report();
    report.where = fmt::format("{}, {}", owner, report.where);
    throw ConfigError(report);
  }
}

void in_point(const SweepPoint& point, const std::function<void()>& work) {
  naming("point " + point.id, work);
}

std::vector<double> read_equal_l0(const SweepFile& file) {
  std::vector<double> values;
  for (const auto& text : file.equal_l0) {
    double value = 0.0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = code == std::errc() && end == text.data() + text.size();
    if (!whole || !(value > 0.0) || !std::isfinite(value)) {
      throw ConfigError({.what = "Wrong number in 'equal_l0'",
                         .expected = "positive numbers: active features per layer and token",
                         .got = text,
                         .where = file.path,
                         .hint = "For example equal_l0: [16]."});
    }
    values.push_back(value);
  }
  return values;
}

}  // namespace

Sweep::Sweep(const SweepFile& file, const data::ShardSet& shards, Communicator& communicator)
    : communicator_(communicator),
      inputs_{file, shards, {}},
      points_(expand_sweep(file)),
      results_(points_.size()),
      equal_l0_(read_equal_l0(file)),
      title_(fmt::format("{}: reconstruction against sparsity, {}",
                         std::filesystem::path(file.path).stem().string(),
                         shards.identity().model)) {}

void Sweep::check() {
  communicator_.agree([&] {
    naming(inputs_.file.path + ", attribution",
           [&] { eval::check_attribution_options(inputs_.file.attribution); });
    if (std::any_of(points_.begin(), points_.end(), [](const auto& p) { return p.graphs; })) {
      inputs_.prompts = eval::read_prompt_texts(inputs_.file.prompts);
    }
    for (const auto& point : points_) {
      in_point(point, [&] { check_options(point); });
      states_.push_back(point_state(point, point_config(inputs_, point)));
    }
    if (communicator_.rank() == 0) {
      check_model();
      count_parameters();
    }
  });
}

void Sweep::check_options(const SweepPoint& point) const {
  const auto& options = point.options;
  require_one_of("transcoder.architecture", options.transcoder.architecture,
                 architectures::Registry::instance().names());
  trainer::check_training(options, inputs_.shards, communicator_.size());
  const auto split = data::split_rows(inputs_.shards, options.loader);
  if (split.held_out.size() == 0) {
    throw ConfigError({.what = "Nothing would be held out to evaluate on",
                       .expected = "loader.held_out_share above 0",
                       .got = fmt::format("{}", options.loader.held_out_share),
                       .where = "loader.held_out_share",
                       .hint = "Set it in base."});
  }
}

void Sweep::check_model() const {
  const auto& folder = inputs_.file.model;
  if (!folder.empty()) {
    const auto spec = models::read_model_spec(folder);
    const auto tokenizer = models::Tokenizer::load(folder);
    require_host_model(inputs_.shards.identity(), "The shards were made with", folder, spec,
                       tokenizer);
    check_prompts(inputs_.prompts, inputs_.file.prompts, spec, tokenizer);
  }
}

void Sweep::count_parameters() {
  const auto& identity = inputs_.shards.identity();
  for (const auto& point : points_) {
    const auto& options = point.options.transcoder;
    parameters_.push_back(architectures::parameter_count(
        options, {identity.layers, identity.width_in, options.features}));
  }
}

std::string Sweep::plan() const {
  std::string text;
  double largest = 0.0;
  std::map<PointState, int64_t> count;
  for (size_t i = 0; i < points_.size(); ++i) {
    const auto& options = points_[i].options;
    text += fmt::format("  {:<44} {:<20} {:>12} parameters  {}\n", points_[i].id,
                        options.transcoder.architecture, parameters_[i], state_name(states_[i]));
    largest = std::max(largest, trainer::checkpoint_bytes(options, parameters_[i]));
    ++count[states_[i]];
  }
  return text +
         fmt::format("{} points: {} new, {} started, {} finished; a checkpoint takes at most {}",
                     points_.size(), count[PointState::kNew], count[PointState::kStarted],
                     count[PointState::kFinished], human_bytes(largest));
}

void Sweep::run() {
  communicator_.agree([&] {
    refuse_points_beyond_memory();
    if (communicator_.rank() == 0) {
      lock_.emplace(inputs_.file.output);
    }
  });
  read_finished();
  for (size_t i = 0; i < points_.size(); ++i) {
    if (states_[i] != PointState::kFinished) {
      log::info("point {} of {}: {}", i + 1, points_.size(), points_[i].id);
      results_[i] = run_point(inputs_, points_[i], communicator_);
      report();
    }
  }
  report();  // also when everything was there
  if (communicator_.rank() == 0) {
    const auto results = present();
    fmt::print("{}{}written: {}/table.csv, table.json, table.md, pareto.svg\n",
               table_text(make_table(results)),
               comparison_text(compare_at_equal_l0(results, equal_l0_)), inputs_.file.output);
  }
  refuse_failures();
}

/// Of those still to be trained.
void Sweep::refuse_points_beyond_memory() const {
  for (size_t i = 0; i < points_.size(); ++i) {
    if (states_[i] != PointState::kFinished) {
      in_point(points_[i], [&] {
        refuse_beyond_memory(points_[i].options, inputs_.shards, communicator_.size());
      });
    }
  }
}

void Sweep::refuse_failures() const {
  communicator_.agree([&] {
    std::vector<std::string> failed;
    for (const auto& result : present()) {
      if (result.contains("failed")) {
        failed.push_back(result.value("id", ""));
      }
    }
    if (!failed.empty() && communicator_.rank() == 0) {
      throw DataError(
          {.what = fmt::format("{} of {} points diverged", failed.size(), points_.size()),
           .expected = "",
           .got = fmt::format("{}", fmt::join(failed, ", ")),
           .where = inputs_.file.output,
           .hint = "The table has the others, and why these stopped. Remove a point's "
                   "folder to train it again."});
    }
  });
}

void Sweep::read_finished() {
  communicator_.agree([&] {
    for (size_t i = 0; i < points_.size(); ++i) {
      if (states_[i] == PointState::kFinished && communicator_.rank() == 0) {
        results_[i] = read_result(points_[i]);
        remove_unwanted_weights(points_[i], results_[i]);
      }
    }
  });
}

/// Results so far, in the order of the plan.
std::vector<Json> Sweep::present() const {
  std::vector<Json> results;
  std::copy_if(results_.begin(), results_.end(), std::back_inserter(results),
               [](const Json& result) { return !result.is_null(); });
  return results;
}

void Sweep::report() const {
  communicator_.agree([&] {
    if (communicator_.rank() == 0) {
      write_report(inputs_.file.output, present(), title_, equal_l0_);
    }
  });
}

}  // namespace crossloom::launch
