// Names of registry rows as GoogleTest accepts them: "clt-topk" → "clt_topk".
#pragma once

#include <algorithm>
#include <string>

namespace crossloom::test {

inline std::string test_name(std::string row) {
  std::replace(row.begin(), row.end(), '-', '_');
  return row;
}

}  // namespace crossloom::test
