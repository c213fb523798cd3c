#include "launch/sweep_report.h"

#include <filesystem>
#include <limits>
#include <map>

#include "common/format.h"
#include "common/mean.h"
#include "common/output_file.h"
#include "launch/equal_l0.h"
#include "launch/sweep_table.h"

namespace crossloom::launch {
namespace {

/// The runs of one point of the plot.
struct Group {
  std::string label;
  std::vector<double> l0, nmse;
};

double number(const Json& result, const char* key) {
  const Json& value = json_part(json_part(result, "reconstruction"), key);
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string label_of(const Json& result) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : json_part(result, "varied").items()) {
    parts.push_back(
        fmt::format("{} {}", key, value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return parts.empty() ? result.value("id", "") : fmt::format("{}", fmt::join(parts, ", "));
}

PlotPoint point_of(const Group& group) {
  return {group.label,
          mean(group.l0),
          mean(group.nmse),
          sample_deviation(group.l0),
          sample_deviation(group.nmse),
          static_cast<int64_t>(group.l0.size())};
}

}  // namespace

ParetoPlot plot_of(const std::vector<Json>& results, const std::string& title) {
  std::vector<std::string> entries;                       // in the order they are met
  std::map<std::string, std::vector<std::string>> order;  // entry → its groups likewise
  std::map<std::string, std::map<std::string, Group>> groups;
  for (const auto& result : results) {
    if (result.contains("failed")) {
      continue;
    }
    const auto entry = result.value("entry", "");
    const auto varied = json_part(result, "varied").dump();
    if (!order.contains(entry)) {
      entries.push_back(entry);
    }
    auto& own = groups[entry];
    if (!own.contains(varied)) {
      order[entry].push_back(varied);
    }
    auto& group = own[varied];
    group.label = label_of(result);
    group.l0.push_back(number(result, "l0"));
    group.nmse.push_back(number(result, "nmse"));
  }
  ParetoPlot plot{title,
                  "L0: active features per layer and token (log scale)",
                  "held-out NMSE, mean over layers",
                  {}};
  for (const auto& entry : entries) {
    PlotSeries series{entry, {}};
    for (const auto& varied : order[entry]) {
      series.points.push_back(point_of(groups[entry][varied]));
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

void write_report(const std::string& folder, const std::vector<Json>& results,
                  const std::string& title, const std::vector<double>& equal_l0) {
  const std::filesystem::path place(folder);
  const auto table = make_table(results);
  Json json = table_json(table);
  std::string markdown = table_markdown(table);
  if (!equal_l0.empty()) {
    const auto comparison = compare_at_equal_l0(results, equal_l0);
    json["equal_l0"] = comparison_json(comparison);
    markdown += fmt::format("\n{}", comparison_markdown(comparison));
  }
  write_file((place / "table.csv").string(), table_csv(table));
  write_json_file((place / "table.json").string(), json);
  write_file((place / "table.md").string(), markdown);
  write_file((place / "pareto.svg").string(), pareto_svg(plot_of(results, title)));
}

}  // namespace crossloom::launch
