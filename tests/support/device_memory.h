// GPU memory for tests, through the CUDA part's table: host tensors and descriptors copied there
// and results copied back. A fixture that skips where there is no GPU. CROSSLOOM_CUDA_PART is the
// part's path, from CMake.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "architectures/codes.h"
#include "common/cuda_part.h"
#include "common/tensor.h"

namespace crossloom::test {

inline const CudaPartTable& cuda_part() {
  static const CudaPartTable& part = load_cuda_part(CROSSLOOM_CUDA_PART);
  return part;
}

inline void expect_success(CudaFailure failure) {
  CROSSLOOM_CHECK(failure == nullptr, "the CUDA part: {}", failure);
}

/// Bytes on the device, a copy of the host's.
class DeviceBytes {
 public:
  DeviceBytes(const void* from, int64_t size_bytes) : size_bytes_(size_bytes) {
    expect_success(cuda_part().allocate(std::max<int64_t>(size_bytes, 1), &memory_));
    expect_success(cuda_part().copy(memory_, from, size_bytes, nullptr));
    expect_success(cuda_part().await(nullptr));
  }
  ~DeviceBytes() { static_cast<void>(cuda_part().release(memory_)); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void* data() const { return memory_; }
  void read(void* to) const {
    expect_success(cuda_part().copy(to, memory_, size_bytes_, nullptr));
    expect_success(cuda_part().await(nullptr));
  }

 private:
  int64_t size_bytes_;
  void* memory_ = nullptr;
};

/// Descriptors on the device.
template <typename Element>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<Element>& elements)
      : bytes_(elements.data(), static_cast<int64_t>(elements.size() * sizeof(Element))) {}
  const Element* data() const { return static_cast<const Element*>(bytes_.data()); }

 private:
  DeviceBytes bytes_;
};

/// A tensor's whole storage on the device: strides, offset (hence alignment) and neighbours as on
/// the host.
class DeviceTensor {
 public:
  explicit DeviceTensor(const at::Tensor& host)
      : host_(host), bytes_(host.storage().data(), static_cast<int64_t>(host.storage().nbytes())) {}

  template <typename Number = float>
  Number* data() const {
    return reinterpret_cast<Number*>(static_cast<char*>(bytes_.data()) +
                                     host_.storage_offset() * host_.element_size());
  }
  int64_t stride() const { return host_.stride(0); }
  /// The storage as it is on the device now, flat, with the host's neighbours in it.
  at::Tensor read_storage() const {
    const auto size_bytes = static_cast<int64_t>(host_.storage().nbytes());
    at::Tensor flat = at::empty({size_bytes / host_.element_size()}, host_.options());
    bytes_.read(flat.mutable_data_ptr());
    return flat;
  }
  at::Tensor read() const {
    return read_storage().as_strided(host_.sizes(), host_.strides(), host_.storage_offset());
  }

 private:
  at::Tensor host_;
  DeviceBytes bytes_;
};

/// The storage that a tensor on the host is a view of, flat.
inline at::Tensor storage_of(const at::Tensor& host) {
  const auto count = static_cast<int64_t>(host.storage().nbytes()) / host.element_size();
  return host.as_strided({count}, {1}, 0);
}

/// A layer's codes on the device.
class DeviceCodes {
 public:
  explicit DeviceCodes(const architectures::LayerCodes& codes)
      : offsets_(codes.offsets), index_(codes.index), value_(codes.value) {}
  CudaCodes view() const {
    return {.offsets = offsets_.data<int64_t>(),
            .index = index_.data<int32_t>(),
            .value = value_.data()};
  }

 private:
  DeviceTensor offsets_, index_, value_;
};

/// Tests that need a GPU; elsewhere they are reported as skipped.
class OnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_part().device_count() == 0) {
      GTEST_SKIP() << "no GPU on this machine";
    }
  }
};

}  // namespace crossloom::test
