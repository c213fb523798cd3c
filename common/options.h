// Options: YAML → structs, strictly. A struct derives from Options and lists its fields once, in
// `visit`; reading, printing the resolved values and naming the nearest key all walk that list.
// Unknown keys at any level are ConfigErrors. Precedence: struct defaults < YAML file < --set.
//
//   struct TrainOptions : Options {
//     int64_t steps = 100;
//     void visit(OptionVisitor& v) override { v.field("steps", steps, "optimizer steps"); }
//   };
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crossloom {

class Options;

/// One call per field; `help` is one line for --help and the resolved config's comments.
class OptionVisitor {
 public:
  virtual ~OptionVisitor() = default;
  virtual void field(const char* key, bool& value, const char* help) = 0;
  virtual void field(const char* key, int64_t& value, const char* help) = 0;
  virtual void field(const char* key, double& value, const char* help) = 0;
  virtual void field(const char* key, std::string& value, const char* help) = 0;
  virtual void field(const char* key, std::vector<std::string>& value, const char* help) = 0;
  virtual void group(const char* key, Options& value, const char* help) = 0;
};

class Options {
 public:
  virtual ~Options() = default;
  virtual void visit(OptionVisitor& visitor) = 0;
};

/// Fills `options` from a YAML file (empty path: none) and `overrides` of the form "a.b=value".
/// Throws ConfigError naming file, line and key; nothing is changed on a key that is not there.
void read_options(Options& options, const std::string& yaml_path,
                  const std::vector<std::string>& overrides);

/// The same from YAML text; `source` is what errors call it.
void read_options_text(Options& options, const std::string& yaml_text, const std::string& source,
                       const std::vector<std::string>& overrides = {});

/// The resolved values as YAML that read_options_text reads back to the same struct.
std::string options_to_yaml(const Options& options);

/// One line per field: `a.b  (default)  help`.
std::string options_help(const Options& options);

/// Throws ConfigError unless `value` is one of `allowed`; names the nearest.
void require_one_of(const char* key, const std::string& value,
                    const std::vector<std::string>& allowed);

/// Throws ConfigError unless `value >= minimum`.
void require_at_least(const char* key, int64_t value, int64_t minimum);

/// Throws ConfigError unless `value` is finite and above 0.
void require_positive(const char* key, double value);

}  // namespace crossloom
