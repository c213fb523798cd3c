// Named tensors in a file: the safetensors format.
//
//   u64 N (little-endian) | N bytes of JSON {"name": {"dtype","shape","data_offsets":[a,b]},
//   "__metadata__": {string: string}} | data; offsets count from the end of the header.
//
// The reader maps the file and checks everything before it hands out a view: header size, JSON,
// types, that shape × type = length, that ranges lie inside the file, do not overlap and leave no
// hole (the format's own rules). Source: github.com/huggingface/safetensors, README.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/dtype.h"

namespace crossloom {

class MappedFile;

struct TensorEntry {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // view into the mapped file

  int64_t element_count() const;
};

class TensorFile {
 public:
  /// Throws DataError naming the file, the tensor and the rule that is broken.
  explicit TensorFile(const std::string& path);
  /// From memory that outlives this object (tests, fuzzing); `source` is what errors call it.
  TensorFile(std::span<const std::byte> bytes, std::string source);

  const std::map<std::string, TensorEntry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  const std::string& source() const { return source_; }

  /// Throws DataError with the nearest name when there is none.
  const TensorEntry& at(const std::string& name) const;

  /// The mapping the views point into; keep it as long as a view is used.
  std::shared_ptr<const MappedFile> mapping() const { return mapping_; }

 private:
  void parse(std::span<const std::byte> bytes);

  std::string source_;
  std::shared_ptr<const MappedFile> mapping_;
  std::map<std::string, TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Atomic (output_file.h); data is 64-byte aligned at its start. Throws DataError.
void write_tensor_file(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace crossloom
