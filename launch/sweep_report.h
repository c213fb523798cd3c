// What a sweep leaves for people: table.csv, table.json, table.md and pareto.svg in its folder,
// written after every point, so that an interrupted sweep has them too.
#pragma once

#include <string>
#include <vector>

#include "common/json_file.h"
#include "launch/pareto_plot.h"

namespace crossloom::launch {

/// NMSE against L0, a series per entry; runs that differ in the seed alone are one point: their
/// mean with the standard deviation (n − 1) as error bars.
ParetoPlot plot_of(const std::vector<Json>& results, const std::string& title);

/// Each file atomically; with `equal_l0`, table.json and table.md also hold the entries at equal
/// L0. Throws DataError.
void write_report(const std::string& folder, const std::vector<Json>& results,
                  const std::string& title, const std::vector<double>& equal_l0 = {});

}  // namespace crossloom::launch
