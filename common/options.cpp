// See options.h. The reader consumes keys from a YAML map as the struct names them; what is left
// over at the end is unknown. The way back, from struct to text, is in options_print.cpp.
#include "common/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "common/error.h"
#include "common/nearest.h"
#include "common/options_node.h"
#include "common/yaml_text.h"

namespace crossloom {
namespace {

class KeyCollector : public OptionVisitor {
 public:
  std::vector<std::string> keys;
  void field(const char* key, bool&, const char*) override { keys.emplace_back(key); }
  void field(const char* key, int64_t&, const char*) override { keys.emplace_back(key); }
  void field(const char* key, double&, const char*) override { keys.emplace_back(key); }
  void field(const char* key, std::string&, const char*) override { keys.emplace_back(key); }
  void field(const char* key, std::vector<std::string>&, const char*) override {
    keys.emplace_back(key);
  }
  void group(const char* key, Options&, const char*) override { keys.emplace_back(key); }
};

class YamlReader : public OptionVisitor {
 public:
  YamlReader(const YAML::Node& map, std::string source, std::string prefix)
      : map_(map), source_(std::move(source)), prefix_(std::move(prefix)) {}

  void field(const char* key, bool& value, const char*) override {
    read(key, value, "true or false");
  }
  void field(const char* key, double& value, const char*) override { read(key, value, "a number"); }
  void field(const char* key, int64_t& value, const char*) override {
    if (const YAML::Node node = find(key)) {
      const std::string text = node.IsScalar() ? node.Scalar() : std::string{};
      const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (text.empty() || code != std::errc{} || end != text.data() + text.size()) {
        fail(key, node, "a whole number");
      }
    }
  }
  void field(const char* key, std::string& value, const char*) override {
    if (const YAML::Node node = find(key)) {
      if (!node.IsScalar() && !node.IsNull()) {
        fail(key, node, "text");
      }
      value = node.IsNull() ? std::string{} : node.Scalar();
    }
  }
  void field(const char* key, std::vector<std::string>& value, const char*) override {
    if (const YAML::Node node = find(key)) {
      value.clear();
      if (node.IsScalar()) {
        value.push_back(node.Scalar());
        return;
      }
      if (!node.IsSequence()) {
        fail(key, node, "a list");
      }
      for (const auto& item : node) {
        if (!item.IsScalar()) {
          fail(key, item, "text");
        }
        value.push_back(item.Scalar());
      }
    }
  }
  void group(const char* key, Options& value, const char*) override {
    if (const YAML::Node node = find(key)) {
      read_map(value, node, source_, prefix_ + key + ".");
    }
  }

  /// Reads every field of `options` from `map` and refuses what is left, `also_known` apart.
  static void read_map(Options& options, const YAML::Node& map, const std::string& source,
                       const std::string& prefix, const std::vector<std::string>& also_known = {}) {
    if (!map || map.IsNull()) {
      return;
    }
    if (!map.IsMap()) {
      throw ConfigError({.what = "A group of options is not a map of keys",
                         .expected = "key: value lines",
                         .got = yaml_kind(map),
                         .where = yaml_where(source, map, prefix.empty() ? "(top)" : prefix),
                         .hint = "See --help for the keys."});
    }
    refuse_unknown(options, map, source, prefix, also_known);
    YamlReader reader(map, source, prefix);
    options.visit(reader);
  }

 private:
  static void refuse_unknown(Options& options, const YAML::Node& map, const std::string& source,
                             const std::string& prefix,
                             const std::vector<std::string>& also_known) {
    KeyCollector known;
    options.visit(known);
    known.keys.insert(known.keys.end(), also_known.begin(), also_known.end());
    std::set<std::string> seen;
    for (const auto& entry : map) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "(not a name)";
      const std::string where = yaml_where(source, entry.first, prefix + key);
      if (std::find(known.keys.begin(), known.keys.end(), key) == known.keys.end()) {
        throw ConfigError(
            {.what = fmt::format("Unknown configuration key '{}{}'", prefix, key),
             .expected = fmt::format("one of: {}", fmt::join(known.keys, ", ")),
             .got = key,
             .where = where,
             .hint = fmt::format("Did you mean '{}{}'?", prefix, nearest_name(key, known.keys))});
      }
      if (!seen.insert(key).second) {
        throw ConfigError({.what = fmt::format("Key '{}{}' is given twice", prefix, key),
                           .expected = "each key once",
                           .got = {},
                           .where = where,
                           .hint = "Remove one of them."});
      }
    }
  }

  YAML::Node find(const char* key) const {
    // operator[] on a const node never inserts
    return map_[std::string(key)];
  }

  template <typename T>
  void read(const char* key, T& value, const char* expected) {
    if (const YAML::Node node = find(key)) {
      if (!node.IsScalar() || !YAML::convert<T>::decode(node, value)) {
        fail(key, node, expected);
      }
    }
  }

  [[noreturn]] void fail(const char* key, const YAML::Node& node, const char* expected) const {
    throw ConfigError({.what = fmt::format("Wrong value for '{}{}'", prefix_, key),
                       .expected = expected,
                       .got = yaml_kind(node),
                       .where = yaml_where(source_, node, prefix_ + key),
                       .hint = "See --help for the option."});
  }

  const YAML::Node map_;
  std::string source_;
  std::string prefix_;
};

/// "a.b=c"
void apply_override(Options& options, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string source = fmt::format("--set {}", text);
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError({.what = "An override is not of the form key=value",
                       .expected = "--set a.b=value",
                       .got = text,
                       .where = source,
                       .hint = "Write the key, '=', and the value without spaces."});
  }
  const YAML::Node node = parse_yaml(text.substr(equals + 1), source);
  YamlReader::read_map(options, nested_node(text.substr(0, equals), node), source, "");
}

}  // namespace

void read_options_node(Options& options, const YAML::Node& map, const std::string& source,
                       const std::string& prefix, const std::vector<std::string>& also_known) {
  YamlReader::read_map(options, map, source, prefix, also_known);
}

void read_options_text(Options& options, const std::string& yaml_text, const std::string& source,
                       const std::vector<std::string>& overrides) {
  try {
    YamlReader::read_map(options, parse_yaml(yaml_text, source), source, "");
    for (const auto& text : overrides) {
      apply_override(options, text);
    }
  } catch (const YAML::Exception& error) {  // e.g. an alias cycle met while walking
    throw ConfigError({.what = "The configuration cannot be read",
                       .expected = "plain maps, lists and values",
                       .got = error.msg,
                       .where = source,
                       .hint = "Avoid anchors and unusual keys."});
  }
}

void read_options(Options& options, const std::string& yaml_path,
                  const std::vector<std::string>& overrides) {
  const std::string text = yaml_path.empty() ? std::string{} : read_yaml_file(yaml_path);
  read_options_text(options, text, yaml_path.empty() ? "command line" : yaml_path, overrides);
}

void require_one_of(const char* key, const std::string& value,
                    const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    throw ConfigError({.what = fmt::format("Unknown value '{}' for '{}'", value, key),
                       .expected = fmt::format("one of: {}", fmt::join(allowed, ", ")),
                       .got = value,
                       .where = key,
                       .hint = fmt::format("Did you mean '{}'?", nearest_name(value, allowed))});
  }
}

void require_at_least(const char* key, int64_t value, int64_t minimum) {
  if (value < minimum) {
    throw ConfigError({.what = fmt::format("'{}' is too small", key),
                       .expected = fmt::format("at least {}", minimum),
                       .got = fmt::format("{}", value),
                       .where = key,
                       .hint = "Change it in the YAML file or with --set."});
  }
}

void require_positive(const char* key, double value) {
  if (!(value > 0.0) || !std::isfinite(value)) {
    throw ConfigError({.what = fmt::format("'{}' is out of range", key),
                       .expected = "a positive number",
                       .got = fmt::format("{}", value),
                       .where = key,
                       .hint = "Change it in the YAML file or with --set."});
  }
}

}  // namespace crossloom
