#include "common/cuda_part.h"

#include <dlfcn.h>

#include <filesystem>

namespace crossloom {
namespace {

std::string part_path() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return (program.parent_path() / "libcrossloom_cuda.so").string();
}

[[noreturn]] void fail(const std::string& got) {
  throw ConfigError({.what = "The CUDA part cannot be used",
                     .expected = "libcrossloom_cuda.so beside the program, built from this version",
                     .got = got,
                     .where = part_path(),
                     .hint =
                         "Build with the CUDA toolkit and NCCL present (cmake --preset cuda), or "
                         "use device: cpu."});
}

const CudaPartTable& load() {
  // RTLD_GLOBAL: libtorch_cuda, if the process has it, must share one CUDA runtime with the part.
  void* library = dlopen(part_path().c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    fail(dlerror());
  }
  using Entry = const CudaPartTable* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "crossloom_cuda_part"));
  if (entry == nullptr) {
    fail("a library without the entry crossloom_cuda_part");
  }
  const CudaPartTable* table = entry();
  if (table->version != kCudaPartVersion) {
    fail(fmt::format("version {}, this program needs {}", table->version, kCudaPartVersion));
  }
  return *table;
}

}  // namespace

bool cuda_part_is_built() {
  return std::filesystem::exists(part_path());
}

const CudaPartTable& cuda_part() {
  static const CudaPartTable& table = load();
  return table;
}

}  // namespace crossloom
