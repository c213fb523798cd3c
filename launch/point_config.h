// All that decides a point's numbers (options, data, what is measured), flat: option → value. What
// does not is left out: the program's version, paths, intervals.
#pragma once

#include "launch/sweep_point.h"

namespace crossloom::launch {

Json point_config(const SweepInputs& inputs, const SweepPoint& point);

/// 16 hex digits.
std::string config_hash(const Json& config);

/// Throws ConfigError naming the first key in which a point was `recorded` with another value than
/// it has `now`: any key, or only one that its weights depend on. An option that did not exist when
/// the point was made had its default.
void require_same_config(const SweepPoint& point, const Json& recorded, const Json& now,
                         bool also_evaluation);

/// Throws ConfigError.
[[noreturn]] void refuse_changed_point(const SweepPoint& point, const std::string& there,
                                       const std::string& now);

}  // namespace crossloom::launch
