#include "common/cuda_part.h"

#include <dlfcn.h>

#include <filesystem>

namespace crossloom {
namespace {

[[noreturn]] void fail(const std::string& path, const std::string& got) {
  throw ConfigError({.what = "The CUDA part cannot be used",
                     .expected = "libcrossloom_cuda.so beside the program, built from this version",
                     .got = got,
                     .where = path,
                     .hint =
                         "Build with the CUDA toolkit and NCCL present (cmake --preset cuda), or "
                         "use device: cpu."});
}

}  // namespace

std::string cuda_part_path() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return (program.parent_path() / "libcrossloom_cuda.so").string();
}

const CudaPartTable& load_cuda_part(const std::string& path) {
  // RTLD_GLOBAL: libtorch_cuda, if the process has it, must share one CUDA runtime with the part.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    fail(path, dlerror());
  }
  using Entry = const CudaPartTable* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, "crossloom_cuda_part"));
  if (entry == nullptr) {
    fail(path, "a library without the entry crossloom_cuda_part");
  }
  const CudaPartTable* table = entry();
  if (table->version != kCudaPartVersion) {
    fail(path, fmt::format("version {}, this program needs {}", table->version, kCudaPartVersion));
  }
  return *table;
}

}  // namespace crossloom
