// Any bytes as a safetensors file: a DataError, or views that lie inside the bytes.
#include <cstdint>
#include <cstdlib>

#include "common/error.h"
#include "common/tensor_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const crossloom::TensorFile file(bytes, "fuzzed");
    unsigned sum = 0;
    for (const auto& [name, entry] : file.tensors()) {
      int64_t count = 1;
      for (const int64_t extent : entry.shape) {
        count *= extent;
      }
      if (count != entry.element_count()) {
        std::abort();
      }
      for (const std::byte byte : entry.bytes) {
        sum += static_cast<unsigned>(byte);
      }
    }
    return sum == 0xFFFFFFFF ? 1 : 0;
  } catch (const crossloom::DataError&) {
    return 0;
  }
}
