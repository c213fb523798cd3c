// The results of a sweep as one table: for spreadsheets (CSV), programs (JSON), documents
// (Markdown) and the console.
#pragma once

#include <string>
#include <vector>

#include "common/json_file.h"

namespace crossloom::launch {

struct SweepTable {
  std::vector<std::string> columns;
  std::vector<std::vector<Json>> rows;  // null: not measured

  /// The number of a column, -1 when there is none.
  int64_t column(const std::string& name) const;
};

/// One row per result (result.json, launch/sweep_point.h), in their order. Columns that no row has
/// are left out.
SweepTable make_table(const std::vector<Json>& results);

/// RFC 4180, with a header line; what was not measured is empty.
std::string table_csv(const SweepTable& table);
/// {"columns": […], "rows": [{column: value}, …]}
Json table_json(const SweepTable& table);
/// For Markdown documents: as table_text.
std::string table_markdown(const SweepTable& table);
/// Aligned, rounded for reading, the columns that matter most.
std::string table_text(const SweepTable& table);

}  // namespace crossloom::launch
