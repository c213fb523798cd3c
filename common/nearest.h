// "Did you mean …": the known name nearest to a misspelt one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace crossloom {

/// Levenshtein distance, O(|a|·|b|).
size_t edit_distance(std::string_view a, std::string_view b);

/// The known name with the smallest edit distance; empty when `known` is empty.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace crossloom
