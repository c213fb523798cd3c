// Memory that kernels work in: the cache's size, and buffers that a thread keeps from call to call
// so that no step allocates them anew.
#pragma once

#include <hwy/aligned_allocator.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

namespace crossloom::architectures::kernels {

/// Of a core's second-level cache.
inline int64_t cache_bytes() {
  constexpr int64_t kUsual_bytes = 1024 * 1024;
  static const int64_t known_bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return known_bytes > 0 ? known_bytes : kUsual_bytes;
}

/// Declared thread_local where it is used.
template <typename Element>
class Scratch {
 public:
  /// `count` elements, aligned for vectors, of unknown values. Throws std::bad_alloc.
  Element* of_size(int64_t count) {
    if (count > count_) {
      data_.reset();
      count_ = 0;
      data_ = hwy::AllocateAligned<Element>(static_cast<size_t>(count));
      if (data_ == nullptr) {
        throw std::bad_alloc();
      }
      count_ = count;
    }
    return data_.get();
  }

 private:
  hwy::AlignedFreeUniquePtr<Element[]> data_;
  int64_t count_ = 0;
};

/// Asks for the cache lines of [from, from + count) early, into the second-level cache: there a
/// core can await more of them than in the first.
template <typename Element>
void prefetch_stretch(const Element* from, int64_t count) {
  constexpr auto kLine = static_cast<int64_t>(64 / sizeof(Element));
  constexpr int kSecondLevel = 2;
  for (int64_t i = 0; i < count; i += kLine) {
    __builtin_prefetch(from + i, 0, kSecondLevel);
  }
}

/// Some columns of rows, copied together or back: rows far apart are not seen coming by the
/// hardware, and where they lie a power of two apart they fight for the same few cache sets.
template <typename Element>
void copy_columns(const Element* from, int64_t from_stride, int64_t rows, int64_t width,
                  Element* to, int64_t to_stride) {
  constexpr int64_t kAhead = 16;
  for (int64_t r = 0; r < rows; ++r) {
    prefetch_stretch(from + std::min(r + kAhead, rows - 1) * from_stride, width);
    std::memcpy(to + r * to_stride, from + r * from_stride,
                static_cast<size_t>(width) * sizeof(Element));
  }
}

}  // namespace crossloom::architectures::kernels
