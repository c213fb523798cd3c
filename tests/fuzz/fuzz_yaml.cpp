// Any text as a configuration: a ConfigError, or options that survive printing and reading.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/error.h"
#include "tests/common/sample_options.h"

namespace {

bool same(const crossloom::SampleOptions& a, const crossloom::SampleOptions& b) {
  const bool rates = a.optimiser.rate == b.optimiser.rate ||
                     (std::isnan(a.optimiser.rate) && std::isnan(b.optimiser.rate));
  return a.steps == b.steps && a.name == b.name && rates &&
         a.optimiser.fused == b.optimiser.fused && a.optimiser.skip == b.optimiser.skip;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  crossloom::SampleOptions options;
  try {
    crossloom::read_options_text(options, text, "fuzzed", {});
  } catch (const crossloom::ConfigError&) {
    return 0;
  }
  crossloom::SampleOptions again;
  crossloom::read_options_text(again, crossloom::options_to_yaml(options), "printed", {});
  if (!same(options, again)) {
    std::abort();
  }
  return 0;
}
