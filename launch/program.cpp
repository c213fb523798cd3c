#include "launch/program.h"

#include <c10/util/Exception.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "common/log.h"
#include "common/mpi_environment.h"
#include "common/process_memory.h"
#include "common/repeatable_products.h"
#include "launch/cli.h"

namespace crossloom::launch {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

std::unique_ptr<Communicator> world(const MpiEnvironment& mpi) {
  return mpi.size() > 1 ? make_mpi_communicator() : make_single_communicator();
}

void run(const MpiEnvironment& mpi, const std::vector<std::string>& arguments) {
  Invocation invocation = parse_command_line(arguments);
  if (invocation.command == nullptr) {
    if (mpi.rank() == 0) {
      std::fputs(invocation.text.c_str(), stdout);
    }
    return;
  }
  const auto communicator = world(mpi);
  Context context{*communicator, invocation.dry_run};
  if (invocation.dry_run && mpi.rank() == 0) {
    std::fputs(options_to_yaml(*invocation.options).c_str(), stdout);
  }
  invocation.command->run(*invocation.options, context);
}

/// Freed memory stays with the program: a step's tensors come from the pages of the step before,
/// instead of pages that the kernel must clear anew (a quarter of a small step's time).
void keep_freed_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);  // never
  mallopt(M_ARENA_MAX, 1);        // whichever thread asks
}

/// Tensors of 2 MB and more lie on huge pages: rows of large tables are far apart, and with small
/// pages nearly each of them costs a walk through the page tables. LibTorch's allocator reads this
/// variable once, before its first tensor.
void use_huge_pages() {
  setenv("THP_MEM_ALLOC_ENABLE", "1", 0);
}

int report(const MpiEnvironment& mpi, const std::string& text, int code) {
  if (mpi.size() > 1) {
    std::fprintf(stderr, "[rank %d of %d] %s", mpi.rank(), mpi.size(), text.c_str());
  } else {
    std::fputs(text.c_str(), stderr);
  }
  std::fflush(stderr);
  mpi.abort(code);
  return code;
}

std::string out_of_memory(const std::string& got) {
  return Error(
             "OutOfMemory",
             {.what = "There is not enough memory",
              .expected = fmt::format("no more than this machine has: {} available now",
                                      human_bytes(available_memory_bytes())),
              .got = got,
              .where = {},
              .hint = "Use fewer features; weights: bfloat16, adam.states: 8bit and, on one rank, "
                      "adam.clip_norm: 0; or ranks on more machines. --dry-run says what a "
                      "training needs."})
      .screen();
}

/// LibTorch's errors are ours to explain, without the stack they carry. That memory ran out is told
/// by the words only: the type is that of all its errors.
std::string library_error(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  const size_t place = std::min(text.find("DefaultCPUAllocator"), text.find("alloc_cpu"));
  return place == std::string::npos ? fmt::format("InternalError: {}\n", text)
                                    : out_of_memory(text.substr(place));
}

}  // namespace

int run_program(int argc, char** argv) {
  keep_freed_memory();
  use_huge_pages();
  make_products_repeatable();
  MpiEnvironment mpi(&argc, &argv);
  log::set_speaker(mpi.rank(), mpi.size());
  try {
    run(mpi, {argv + 1, argv + argc});
    return 0;
  } catch (const ConfigError& error) {
    return report(mpi, error.screen(), kExitUsage);
  } catch (const Error& error) {
    return report(mpi, error.screen(), kExitFailed);
  } catch (const std::bad_alloc&) {
    return report(mpi, out_of_memory("a refused allocation"), kExitFailed);
  } catch (const c10::Error& error) {
    return report(mpi, library_error(error), kExitFailed);
  } catch (const std::exception& error) {
    return report(mpi, fmt::format("InternalError: {}\n", error.what()), kExitFailed);
  }
}

}  // namespace crossloom::launch
