#include "launch/equal_l0.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "common/format.h"
#include "common/mean.h"

namespace crossloom::launch {
namespace {

/// L0 → NMSE of one entry and seed. Of two points with the same L0 the better one counts.
using Curve = std::map<double, double>;

std::optional<double> read_off(const Curve& curve, double l0) {
  const auto above = curve.lower_bound(l0);
  if (above == curve.end()) {
    return std::nullopt;
  }
  if (above->first == l0) {
    return above->second;
  }
  if (above == curve.begin()) {
    return std::nullopt;
  }
  const auto below = std::prev(above);
  const double share = std::log(l0 / below->first) / std::log(above->first / below->first);
  return std::lerp(below->second, above->second, share);
}

void add_point(Curve& curve, const Json& result) {
  const Json& measured = json_part(result, "reconstruction");
  const Json& l0 = json_part(measured, "l0");
  const Json& nmse = json_part(measured, "nmse");
  if (l0.is_number() && nmse.is_number() && l0.get<double>() > 0.0) {
    const auto [place, is_new] = curve.try_emplace(l0.get<double>(), nmse.get<double>());
    place->second = std::min(place->second, nmse.get<double>());
  }
}

std::vector<EqualL0> best_first(std::vector<EqualL0> rows) {
  const auto key = [](const EqualL0& row) {
    return std::make_tuple(row.l0, row.nmse.empty(), mean(row.nmse));
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return rows;
}

std::string mean_text(const EqualL0& row) {
  if (row.nmse.empty()) {
    return "not between its points";
  }
  const auto deviation =
      row.nmse.size() < 2
          ? std::string()
          : fmt::format(" ± {:.4f} ({} seeds)", sample_deviation(row.nmse), row.nmse.size());
  return fmt::format("{:.4f}{}", mean(row.nmse), deviation);
}

}  // namespace

std::vector<EqualL0> compare_at_equal_l0(const std::vector<Json>& results,
                                         const std::vector<double>& l0) {
  std::vector<std::string> entries;
  std::map<std::string, std::map<int64_t, Curve>> curves;
  for (const auto& result : results) {
    const auto entry = result.value("entry", "");
    if (!curves.contains(entry)) {
      entries.push_back(entry);
    }
    add_point(curves[entry][result.value("seed", int64_t{0})], result);
  }
  std::vector<EqualL0> rows;
  for (const double wanted : l0) {
    for (const auto& entry : entries) {
      EqualL0 row{entry, wanted, {}, static_cast<int64_t>(curves[entry].size())};
      for (const auto& [seed, curve] : curves[entry]) {
        if (const auto nmse = read_off(curve, wanted)) {
          row.nmse.push_back(*nmse);
        }
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Json comparison_json(const std::vector<EqualL0>& rows) {
  Json all = Json::array();
  for (const auto& row : rows) {
    all.push_back({{"entry", row.entry},
                   {"l0", row.l0},
                   {"nmse_mean", row.nmse.empty() ? Json() : Json(mean(row.nmse))},
                   {"nmse_sd", row.nmse.size() < 2 ? Json() : Json(sample_deviation(row.nmse))},
                   {"seeds", row.seeds},
                   {"seeds_enclosing", row.nmse.size()}});
  }
  return all;
}

std::string comparison_text(const std::vector<EqualL0>& rows) {
  std::string text;
  double heading = 0.0;
  for (const auto& row : best_first(rows)) {
    if (row.l0 != heading) {
      text += fmt::format("NMSE at L0 {}\n", row.l0);
      heading = row.l0;
    }
    text += fmt::format("  {:<28} {}\n", row.entry, mean_text(row));
  }
  return text;
}

std::string comparison_markdown(const std::vector<EqualL0>& rows) {
  std::string text = "| entry | L0 | NMSE |\n|---|---|---|\n";
  for (const auto& row : best_first(rows)) {
    text += fmt::format("| {} | {} | {} |\n", row.entry, row.l0, mean_text(row));
  }
  return text;
}

}  // namespace crossloom::launch
