// The table of architectures: one row per public name. Tests walk it; a user's own main may add to
// it. Explicit, never self-registering: statics in a static library are dropped by the linker.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "architectures/transcoder.h"

namespace crossloom::architectures {

class Registry {
 public:
  struct Row {
    std::string name;        // public, stable: "clt-topk"
    std::string topology;    // "plt", "clt", "clt-incremental[-affine]", …
    std::string activation;  // "topk", "batchtopk", "relu", "jumprelu"
    bool skip = false;
    /// `type` is the scalar type of the parameters: float32, float64, or bfloat16 for weight
    /// matrices in bfloat16 and the rest in float32.
    std::function<std::unique_ptr<Transcoder>(const TranscoderOptions&, const TranscoderShape&,
                                              at::ScalarType type)>
        create;
  };

  /// The process's table, filled with the built-in rows on first use.
  static Registry& instance();

  /// Throws ConfigError when the name is taken.
  void add(Row row);
  const std::vector<Row>& rows() const { return rows_; }
  std::vector<std::string> names() const;

  /// Throws ConfigError with the known names and the nearest when there is no such row.
  const Row& row(const std::string& name) const;
  /// As row(); also when an option is out of range (K > F, …).
  std::unique_ptr<Transcoder> create(const TranscoderOptions& options, const TranscoderShape& shape,
                                     at::ScalarType type) const;
  /// Refuses what create would, by one layer of width 1: the whole might not fit here.
  void check(const TranscoderOptions& options) const;

 private:
  std::vector<Row> rows_;
};

}  // namespace crossloom::architectures
