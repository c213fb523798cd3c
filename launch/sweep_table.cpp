#include "launch/sweep_table.h"

#include <algorithm>

#include "common/format.h"

namespace crossloom::launch {
namespace {

/// A measured column: its name and where a result keeps it.
struct Measure {
  const char* column;
  const char* pointer;  // JSON pointer
};
constexpr Measure kMeasures[] = {
    {"parameters", "/parameters"},
    {"l0", "/reconstruction/l0"},
    {"l0_sum", "/reconstruction/l0_sum"},
    {"nmse", "/reconstruction/nmse"},
    {"dead", "/reconstruction/dead"},
    {"kl", "/replacement/replaced/kl"},
    {"top1", "/replacement/replaced/top1_agreement"},
    {"kl_mean_ablated", "/replacement/mean_ablated/kl"},
    {"replacement_score", "/graphs/replacement_score"},
    {"completeness", "/graphs/completeness"},
    {"failed", "/failed"},
    {"seconds", "/seconds/total"},
};

/// Varied options of all results, in the order they are met.
std::vector<std::string> varied_keys(const std::vector<Json>& results) {
  std::vector<std::string> keys;
  for (const auto& result : results) {
    for (const auto& [key, value] : json_part(result, "varied").items()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        keys.push_back(key);
      }
    }
  }
  return keys;
}

void remove_empty_columns(SweepTable& table) {
  for (size_t c = table.columns.size(); c-- > 0;) {
    const bool empty = std::all_of(table.rows.begin(), table.rows.end(),
                                   [&](const auto& row) { return row[c].is_null(); });
    if (empty) {
      const auto place = static_cast<std::ptrdiff_t>(c);
      table.columns.erase(table.columns.begin() + place);
      for (auto& row : table.rows) {
        row.erase(row.begin() + place);
      }
    }
  }
}

std::string csv_field(const Json& value) {
  if (value.is_null()) {
    return {};
  }
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return quoted + "\"";
}

/// How a column looks on the console.
struct Look {
  const char* column;
  const char* heading;
  std::string (*text)(const Json& value);
};
template <int decimals>
std::string rounded(const Json& value) {
  return fmt::format("{:.{}f}", value.get<double>(), decimals);
}
std::string plain(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}
std::string percent(const Json& value) {
  return fmt::format("{:.1f}", 100.0 * value.get<double>());
}
constexpr Look kLooks[] = {
    {"id", "point", plain},
    {"parameters", "parameters", plain},
    {"l0", "L0", rounded<1>},
    {"nmse", "NMSE", rounded<4>},
    {"dead", "dead %", percent},
    {"kl", "KL", rounded<3>},
    {"top1", "top-1 %", percent},
    {"replacement_score", "replacement", rounded<4>},
    {"completeness", "completeness", rounded<4>},
    {"failed", "failed", plain},
    {"seconds", "time", [](const Json& value) { return human_seconds(value.get<double>()); }},
};

/// The columns for reading, each with its heading and a cell per row.
std::vector<std::vector<std::string>> reading_columns(const SweepTable& table) {
  std::vector<std::vector<std::string>> columns;
  for (const auto& look : kLooks) {
    const int64_t c = table.column(look.column);
    if (c < 0) {
      continue;
    }
    auto& cells = columns.emplace_back();
    cells.emplace_back(look.heading);
    for (const auto& row : table.rows) {
      const Json& value = row[static_cast<size_t>(c)];
      cells.push_back(value.is_null() ? "" : look.text(value));
    }
  }
  return columns;
}

}  // namespace

int64_t SweepTable::column(const std::string& name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  return found == columns.end() ? -1 : found - columns.begin();
}

SweepTable make_table(const std::vector<Json>& results) {
  SweepTable table;
  table.columns = {"id", "entry", "architecture"};
  const auto varied = varied_keys(results);
  table.columns.insert(table.columns.end(), varied.begin(), varied.end());
  table.columns.emplace_back("seed");
  for (const auto& measure : kMeasures) {
    table.columns.emplace_back(measure.column);
  }
  for (const auto& result : results) {
    std::vector<Json> row{json_part(result, "id"), json_part(result, "entry"),
                          json_part(result, "architecture")};
    for (const auto& key : varied) {
      row.push_back(json_part(json_part(result, "varied"), key.c_str()));
    }
    row.push_back(json_part(result, "seed"));
    for (const auto& measure : kMeasures) {
      row.push_back(result.value(Json::json_pointer(measure.pointer), Json()));
    }
    table.rows.push_back(std::move(row));
  }
  remove_empty_columns(table);
  return table;
}

std::string table_csv(const SweepTable& table) {
  std::string text;
  const auto line = [&](const auto& fields) {
    std::vector<std::string> quoted;
    for (const auto& field : fields) {
      quoted.push_back(csv_field(field));
    }
    text += fmt::format("{}\n", fmt::join(quoted, ","));
  };
  line(table.columns);
  for (const auto& row : table.rows) {
    line(row);
  }
  return text;
}

Json table_json(const SweepTable& table) {
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    Json object = Json::object();
    for (size_t c = 0; c < row.size(); ++c) {
      object[table.columns[c]] = row[c];
    }
    rows.push_back(std::move(object));
  }
  return {{"columns", table.columns}, {"rows", rows}};
}

std::string table_text(const SweepTable& table) {
  std::vector<std::string> lines(table.rows.size() + 1);
  for (const auto& cells : reading_columns(table)) {
    size_t width = 0;
    for (const auto& cell : cells) {
      width = std::max(width, cell.size());
    }
    const bool first = lines.front().empty();
    for (size_t i = 0; i < lines.size(); ++i) {
      lines[i] +=
          first ? fmt::format("{:<{}}", cells[i], width) : fmt::format("  {:>{}}", cells[i], width);
    }
  }
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

std::string table_markdown(const SweepTable& table) {
  const auto columns = reading_columns(table);
  std::string text;
  for (size_t i = 0; i <= table.rows.size(); ++i) {
    for (const auto& cells : columns) {
      text += fmt::format("| {} ", cells[i]);
    }
    text += "|\n";
    if (i == 0) {
      for (size_t c = 0; c < columns.size(); ++c) {
        text += "|---";
      }
      text += "|\n";
    }
  }
  return text;
}

}  // namespace crossloom::launch
