// File → text → YAML node, with the limits that yaml-cpp lacks: size, UTF-8, one document. yaml-cpp
// itself bounds the depth.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string>

namespace crossloom {

inline constexpr size_t kYamlLimit_bytes = 1 << 20;

/// Throws ConfigError naming `source` and the line.
YAML::Node parse_yaml(const std::string& text, const std::string& source);

/// The text of a configuration file. Throws ConfigError when it cannot be read or is empty; what is
/// too large is cut off where parse_yaml refuses it.
std::string read_yaml_file(const std::string& path);

/// "file:line, key a.b": where a node stands, for errors.
std::string yaml_where(const std::string& source, const YAML::Node& node, const std::string& path);

/// What a node is, for errors: its text when it is a scalar, else "a list", "a map", "nothing".
std::string yaml_kind(const YAML::Node& node);

/// "a.b" and a node → {a: {b: node}}.
YAML::Node nested_node(const std::string& dotted_key, const YAML::Node& node);

}  // namespace crossloom
