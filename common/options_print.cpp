// Options back to text: the resolved configuration as YAML, and the list for --help.
#include <yaml-cpp/yaml.h>

#include <cmath>

#include "common/format.h"
#include "common/options.h"

namespace crossloom {
namespace {

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

}  // namespace

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

}  // namespace crossloom
