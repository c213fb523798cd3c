// The identity of a model by content: renaming its folder changes nothing, another weight does.
#pragma once

#include <string>

namespace crossloom::data {

/// xxh3-64 of config.json and of every *.safetensors file (by name), as 16 hex digits. Reads the
/// whole model once (0.5 GB in about 0.1 s from the page cache). Throws DataError.
std::string model_revision(const std::string& model_folder);

}  // namespace crossloom::data
