// See options.h. The reader consumes keys from a YAML map as the struct names them; what is left
// over at the end is unknown. The size of the YAML is bounded here; yaml-cpp bounds its depth.
#include "common/options.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "common/error.h"
#include "common/nearest.h"
#include "common/utf8.h"

namespace crossloom {
namespace {

constexpr size_t kYamlLimit_bytes = 1 << 20;

std::string node_where(const std::string& source, const YAML::Node& node, const std::string& path) {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? fmt::format("{}, key {}", source, path)
                        : fmt::format("{}:{}, key {}", source, mark.line + 1, path);
}

std::string node_text(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return node.Scalar();
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
    default:
      return "nothing";
  }
}

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

  /// Reads every field of `options` from `map` and refuses what is left.
  static void read_map(Options& options, const YAML::Node& map, const std::string& source,
                       const std::string& prefix) {
    if (!map || map.IsNull()) {
      return;
    }
    if (!map.IsMap()) {
      throw ConfigError({.what = "A group of options is not a map of keys",
                         .expected = "key: value lines",
                         .got = node_text(map),
                         .where = node_where(source, map, prefix.empty() ? "(top)" : prefix),
                         .hint = "See --help for the keys."});
    }
    refuse_unknown(options, map, source, prefix);
    YamlReader reader(map, source, prefix);
    options.visit(reader);
  }

 private:
  static void refuse_unknown(Options& options, const YAML::Node& map, const std::string& source,
                             const std::string& prefix) {
    KeyCollector known;
    options.visit(known);
    std::set<std::string> seen;
    for (const auto& entry : map) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "(not a name)";
      const std::string where = node_where(source, entry.first, prefix + key);
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
                       .got = node_text(node),
                       .where = node_where(source_, node, prefix_ + key),
                       .hint = "See --help for the option."});
  }

  const YAML::Node map_;
  std::string source_;
  std::string prefix_;
};

std::string yaml_number(double value) {
  if (std::isnan(value)) {
    return ".nan";
  }
  if (std::isinf(value)) {
    return value > 0 ? ".inf" : "-.inf";
  }
  return fmt::format("{}", value);  // shortest text that reads back to the same double
}

class YamlPrinter : public OptionVisitor {
 public:
  explicit YamlPrinter(YAML::Emitter& out) : out_(out) {}
  void field(const char* key, bool& value, const char*) override { put(key, value); }
  void field(const char* key, int64_t& value, const char*) override { put(key, value); }
  void field(const char* key, double& value, const char*) override { put(key, yaml_number(value)); }
  void field(const char* key, std::string& value, const char*) override {
    out_ << YAML::Key << key << YAML::Value << YAML::DoubleQuoted << value;
  }
  void field(const char* key, std::vector<std::string>& value, const char*) override {
    out_ << YAML::Key << key << YAML::Value << YAML::Flow << YAML::BeginSeq;
    for (const auto& item : value) {
      out_ << YAML::DoubleQuoted << item;
    }
    out_ << YAML::EndSeq;
  }
  void group(const char* key, Options& value, const char*) override {
    out_ << YAML::Key << key << YAML::Value << YAML::BeginMap;
    value.visit(*this);
    out_ << YAML::EndMap;
  }

 private:
  template <typename T>
  void put(const char* key, const T& value) {
    out_ << YAML::Key << key << YAML::Value << value;
  }
  YAML::Emitter& out_;
};

class HelpPrinter : public OptionVisitor {
 public:
  std::string text;
  void field(const char* key, bool& value, const char* help) override {
    line(key, value ? "true" : "false", help);
  }
  void field(const char* key, int64_t& value, const char* help) override {
    line(key, fmt::format("{}", value), help);
  }
  void field(const char* key, double& value, const char* help) override {
    line(key, yaml_number(value), help);
  }
  void field(const char* key, std::string& value, const char* help) override {
    line(key, fmt::format("\"{}\"", value), help);
  }
  void field(const char* key, std::vector<std::string>& value, const char* help) override {
    line(key, fmt::format("[{}]", fmt::join(value, ", ")), help);
  }
  void group(const char* key, Options& value, const char*) override {
    const std::string outer = prefix_;
    prefix_ += std::string(key) + ".";
    value.visit(*this);
    prefix_ = outer;
  }

 private:
  void line(const char* key, const std::string& value, const char* help) {
    text += fmt::format("  {:<34} {:<18} {}\n", prefix_ + key, value, help);
  }
  std::string prefix_;
};

/// Whether a line "---" follows content. (YAML::LoadAll would say so too, but never returns on some
/// malformed tags.)
bool has_second_document(const std::string& text) {
  std::istringstream lines(text);
  bool content = false;
  for (std::string line; std::getline(lines, line);) {
    const bool marker =
        line.rfind("---", 0) == 0 &&
        (line.size() == 3 || std::isspace(static_cast<unsigned char>(line[3])) != 0);
    if (marker && content) {
      return true;
    }
    const size_t first = line.find_first_not_of(" \t\r");
    content =
        content || marker || (first != std::string::npos && line[first] != '#' && line[0] != '%');
  }
  return false;
}

YAML::Node parse_yaml(const std::string& text, const std::string& source) {
  if (text.size() > kYamlLimit_bytes) {
    throw ConfigError({.what = "The configuration is too large",
                       .expected = fmt::format("at most {}", human_bytes(kYamlLimit_bytes)),
                       .got = human_bytes(static_cast<double>(text.size())),
                       .where = source,
                       .hint = "Is this really a configuration file?"});
  }
  if (!is_valid_utf8(text)) {  // it would not survive options_to_yaml
    throw ConfigError({.what = "The configuration is not UTF-8 text",
                       .expected = "UTF-8",
                       .got = "other bytes",
                       .where = source,
                       .hint = "Save the file as UTF-8."});
  }
  try {
    if (has_second_document(text)) {
      throw ConfigError({.what = "The configuration has more than one document",
                         .expected = "one YAML document",
                         .got = "several, separated by ---",
                         .where = source,
                         .hint = "Keep one of them: the others would be ignored."});
    }
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    throw ConfigError({.what = "The configuration is not valid YAML",
                       .expected = "key: value lines",
                       .got = error.msg,
                       .where = fmt::format("{}:{}", source, error.mark.line + 1),
                       .hint = "Check indentation and brackets near that line."});
  }
}

/// "a.b=c" → {a: {b: c}}
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
  YAML::Node node = parse_yaml(text.substr(equals + 1), source);
  std::string path = text.substr(0, equals);
  while (!path.empty()) {
    const size_t dot = path.rfind('.');
    YAML::Node outer(YAML::NodeType::Map);
    outer[dot == std::string::npos ? path : path.substr(dot + 1)] = node;
    node.reset(outer);
    path = dot == std::string::npos ? std::string{} : path.substr(0, dot);
  }
  YamlReader::read_map(options, node, source, "");
}

}  // namespace

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
  std::string text;
  if (!yaml_path.empty()) {
    std::ifstream file(yaml_path, std::ios::binary);
    text.resize(kYamlLimit_bytes + 1);  // one more than allowed, so that parse_yaml sees the excess
    file.read(text.data(), std::streamsize(text.size()));
    text.resize(size_t(file.gcount()));
    if (text.empty()) {
      throw ConfigError({.what = "The configuration file cannot be read",
                         .expected = "a readable YAML file that is not empty",
                         .got = file.is_open() ? "nothing" : "no such file, or no permission",
                         .where = yaml_path,
                         .hint = "Check the path given to --config."});
    }
  }
  read_options_text(options, text, yaml_path.empty() ? "command line" : yaml_path, overrides);
}

std::string options_to_yaml(const Options& options) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  YamlPrinter printer(out);
  // visit() hands out references so that a reader may write; this printer only reads.
  const_cast<Options&>(options).visit(printer);
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::string options_help(const Options& options) {
  HelpPrinter printer;
  const_cast<Options&>(options).visit(printer);
  return printer.text;
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

}  // namespace crossloom
