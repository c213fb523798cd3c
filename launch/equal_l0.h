// Entries of a sweep at equal sparsity: a lower NMSE means little at a higher L0. Per seed, NMSE is
// read off at the wanted L0 between the two neighbouring points, linear in log L0 (evaluation.md);
// then mean and standard deviation over the seeds. Nothing is extrapolated.
#pragma once

#include <string>
#include <vector>

#include "common/json_file.h"

namespace crossloom::launch {

/// One entry at one L0.
struct EqualL0 {
  std::string entry;
  double l0 = 0.0;
  std::vector<double> nmse;  // of the seeds whose points enclose this L0
  int64_t seeds = 0;         // all of the entry's seeds
};

/// Entries in the order they are met, for every L0 in turn.
std::vector<EqualL0> compare_at_equal_l0(const std::vector<Json>& results,
                                         const std::vector<double>& l0);

/// [{"entry", "l0", "nmse_mean", "nmse_sd", "seeds", "seeds_enclosing"}]; mean and deviation are
/// null where there are none.
Json comparison_json(const std::vector<EqualL0>& rows);

/// For the console, best first within an L0.
std::string comparison_text(const std::vector<EqualL0>& rows);
/// The same as a Markdown table.
std::string comparison_markdown(const std::vector<EqualL0>& rows);

}  // namespace crossloom::launch
