#include "models/hooks.h"

#include <algorithm>
#include <array>
#include <vector>

#include "common/nearest.h"

namespace crossloom::models {
namespace {

struct HookName {
  const char* name;
  const char* alias;
};

constexpr std::array<HookName, static_cast<size_t>(HookPoint::kCount)> kNames = {{
    {"hook_resid_pre", "resid_pre"},
    {"ln1.hook_scale", "ln1_scale"},
    {"attn.hook_pattern", "pattern"},
    {"hook_attn_out", "attn_out"},
    {"hook_resid_mid", "resid_mid"},
    {"ln2.hook_scale", "ln2_scale"},
    {"ln2.hook_normalized", "ln2_normalized"},
    {"mlp.hook_in", "mlp_in"},
    {"hook_mlp_out", "mlp_out"},
    {"hook_resid_post", "resid_final"},
    {"ln_final.hook_scale", "final_scale"},
}};

}  // namespace

const char* hook_name(HookPoint point) {
  return kNames[static_cast<size_t>(point)].name;
}

HookPoint hook_from_name(const std::string& name) {
  std::vector<std::string> known;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i].name || name == kNames[i].alias) {
      return static_cast<HookPoint>(i);
    }
    known.emplace_back(kNames[i].name);
    known.emplace_back(kNames[i].alias);
  }
  throw ConfigError({.what = fmt::format("There is no hook point '{}'", name),
                     .expected = fmt::format("one of: {}", fmt::join(known, ", ")),
                     .got = name,
                     .where = "hook",
                     .hint = fmt::format("Did you mean '{}'?", nearest_name(name, known))});
}

}  // namespace crossloom::models
