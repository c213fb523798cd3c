// Text → YAML node, with the limits that yaml-cpp lacks: size, UTF-8, one document. yaml-cpp itself
// bounds the depth.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string>

namespace crossloom {

inline constexpr size_t kYamlLimit_bytes = 1 << 20;

/// Throws ConfigError naming `source` and the line.
YAML::Node parse_yaml(const std::string& text, const std::string& source);

}  // namespace crossloom
