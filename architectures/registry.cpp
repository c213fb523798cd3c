#include "architectures/registry.h"

#include <algorithm>

#include "architectures/clt.h"
#include "architectures/composed_transcoder.h"
#include "architectures/plt.h"
#include "architectures/topk.h"
#include "common/nearest.h"

namespace crossloom::architectures {
namespace {

template <typename Topology>
std::unique_ptr<Transcoder> with_topk(const TranscoderOptions& options,
                                      const TranscoderShape& shape, at::ScalarType type) {
  return std::make_unique<ComposedTranscoder>(options, shape, type,
                                              std::make_unique<TopK>(options.k, shape.features),
                                              std::make_unique<Topology>(shape, type));
}

Registry built_in_rows() {
  Registry registry;
  registry.add({"plt-topk", "plt", "topk", false, with_topk<Plt>});
  registry.add({"clt-topk", "clt", "topk", false, with_topk<Clt>});
  return registry;
}

void check_shape_options(const TranscoderOptions& options, const TranscoderShape& shape) {
  require_at_least("features", options.features, 1);
  require_at_least("layers", shape.layers, 1);
  require_at_least("width", shape.width, 1);
  CROSSLOOM_CHECK(shape.features == options.features, "shape has {} features, the options {}",
                  shape.features, options.features);
}

}  // namespace

Registry& Registry::instance() {
  static Registry registry = built_in_rows();
  return registry;
}

void Registry::add(Row row) {
  for (const Row& known : rows_) {
    if (known.name == row.name) {
      throw ConfigError({.what = fmt::format("architecture '{}' is already registered", row.name),
                         .expected = "a new name",
                         .got = row.name,
                         .where = "Registry::add",
                         .hint = "give the new architecture another name"});
    }
  }
  rows_.push_back(std::move(row));
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> names;
  for (const Row& row : rows_) {
    names.push_back(row.name);
  }
  return names;
}

std::unique_ptr<Transcoder> Registry::create(const TranscoderOptions& options,
                                             const TranscoderShape& shape,
                                             at::ScalarType type) const {
  const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& known) {
    return known.name == options.architecture;
  });
  if (row == rows_.end()) {
    throw ConfigError(
        {.what = fmt::format("there is no architecture '{}'", options.architecture),
         .expected = fmt::format("one of {}", fmt::join(names(), ", ")),
         .got = options.architecture,
         .where = "architecture",
         .hint = fmt::format("did you mean '{}'?", nearest_name(options.architecture, names()))});
  }
  check_shape_options(options, shape);
  return row->create(options, shape, type);
}

}  // namespace crossloom::architectures
