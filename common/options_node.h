// Options out of a part of a larger YAML document, for files that are not one options struct
// (launch/sweep_file.h). Apart from options.h, so that most users of options see no YAML.
#pragma once

#include <string>
#include <vector>

#include "common/options.h"
#include "common/yaml_text.h"

namespace crossloom {

/// As read_options_text, from a map (or nothing). `source` is what errors call the file, `prefix`
/// what stands before this map's keys ("base."). Keys in `also_known` are left to the caller.
/// May throw YAML::Exception besides ConfigError.
void read_options_node(Options& options, const YAML::Node& map, const std::string& source,
                       const std::string& prefix, const std::vector<std::string>& also_known = {});

}  // namespace crossloom
