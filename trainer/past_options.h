// What an option that a checkpoint or a sweep's point does not know meant when it was made: its
// default, but where a default later changed the arithmetic.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace crossloom::trainer {

/// "group.name" → what the program did before the option existed, as YAML; nothing: its default.
inline std::optional<std::string> value_before_option(std::string_view option) {
  if (option == "pre_activation.through_norms") {
    return "false";
  }
  return std::nullopt;
}

}  // namespace crossloom::trainer
