// The pre-tokenizer of a tokenizer.json: cuts text into words that byte-pair merging never crosses.
// Supported: ByteLevel, Digits, Split, Sequence; others are refused by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/json_file.h"

namespace crossloom::models {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Cuts every piece further; pieces are valid UTF-8.
  virtual std::vector<std::string> split(std::vector<std::string> pieces) const = 0;
};

/// From the "pre_tokenizer" value (null: no cutting). Throws DataError naming `source`.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const Json& json, const std::string& source);

}  // namespace crossloom::models
