#include "common/yaml_text.h"

#include <yaml-cpp/eventhandler.h>

#include <sstream>

#include "common/error.h"
#include "common/utf8.h"

namespace crossloom {
namespace {

/// Hears a document and forgets it.
class DeafHandler : public YAML::EventHandler {
 public:
  using Mark = YAML::Mark;
  using Anchor = YAML::anchor_t;
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, Anchor) override {}
  void OnAlias(const Mark&, Anchor) override {}
  void OnScalar(const Mark&, const std::string&, Anchor, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnMapEnd() override {}
};

/// YAML::Load ignores what follows the first document, and YAML::LoadAll (0.7) reads for ever when
/// that is a stray ',': so the parser is asked once, and once more.
bool something_follows_the_first_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DeafHandler handler;
  return parser.HandleNextDocument(handler) && parser.HandleNextDocument(handler);
}

}  // namespace

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
    if (something_follows_the_first_document(text)) {
      throw ConfigError({.what = "Something follows the configuration",
                         .expected = "one YAML document",
                         .got = "more than one, or text after its end",
                         .where = source,
                         .hint = "Remove the rest: it would be ignored."});
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

}  // namespace crossloom
