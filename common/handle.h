// One owner for one C handle (HDF5 ids, CUDA streams, NCCL communicators): move-only, moved-from
// is empty, freed exactly once.
#pragma once

#include <utility>

namespace crossloom {

/// `Deleter` is a stateless callable freeing a `T`; `kEmpty` marks "owns nothing".
template <typename T, typename Deleter, T kEmpty = T{}>
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(T value) : value_(value) {}
  ~UniqueHandle() { reset(); }

  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  UniqueHandle(UniqueHandle&& other) noexcept : value_(std::exchange(other.value_, kEmpty)) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = std::exchange(other.value_, kEmpty);
    }
    return *this;
  }

  T get() const { return value_; }
  explicit operator bool() const { return value_ != kEmpty; }
  void reset() noexcept {
    if (value_ != kEmpty) {
      Deleter{}(std::exchange(value_, kEmpty));
    }
  }

 private:
  T value_ = kEmpty;
};

}  // namespace crossloom
