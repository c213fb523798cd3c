// Any text as a config.json: a DataError, or a model whose size can be computed.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/error.h"
#include "models/model_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const auto spec = crossloom::models::parse_model_spec(text, "fuzzed");
    if (spec.parameter_count() <= 0 || spec.weight_bytes(8) <= 0 || spec.head_width % 2 != 0 ||
        spec.heads % spec.kv_heads != 0) {
      std::abort();
    }
  } catch (const crossloom::DataError&) {
    return 0;
  }
  return 0;
}
