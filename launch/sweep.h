// A sweep under way: its points with what is known of each, checked as a whole before anything is
// trained, then run one after another.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/folder_lock.h"
#include "launch/sweep_point.h"

namespace crossloom::launch {

class Sweep {
 public:
  /// `file` and `shards` outlive it. Throws ConfigError.
  Sweep(const SweepFile& file, const data::ShardSet& shards, Communicator& communicator);

  /// Refuses all that can be refused early: what a training or a graph would refuse of its options
  /// and of the shards, another point in a point's folder, a foreign model, prompts that do not
  /// fit. Collective. Throws ConfigError, DataError.
  void check();

  /// One line per point with its parameters and state. Rank 0, after check().
  std::string plan() const;

  /// Trains and evaluates what is not finished; reports after every point. Collective. A point
  /// whose training diverged counts as finished; throws DataError at the end naming these. Before
  /// it begins, throws ConfigError for a point that does not fit into memory.
  void run();

 private:
  void check_options(const SweepPoint& point) const;
  void check_model() const;
  void count_parameters();
  void refuse_points_beyond_memory() const;
  void read_finished();
  void report() const;
  void refuse_failures() const;
  std::vector<Json> present() const;

  Communicator& communicator_;
  SweepInputs inputs_;
  std::vector<SweepPoint> points_;
  std::vector<PointState> states_;
  std::vector<int64_t> parameters_;  // rank 0
  std::vector<Json> results_;        // null: not there yet; rank 0 has all
  std::vector<double> equal_l0_;     // where entries are compared
  std::string title_;
  std::optional<FolderLock> lock_;  // rank 0, while it runs
};

}  // namespace crossloom::launch
