// The built-in rows. Adding an architecture: its parts in files of their own, one row here, one
// line in the README's table; the tests walk this table.
#include "architectures/registry.h"

#include <algorithm>

#include "architectures/composed_transcoder.h"
#include "architectures/topk.h"
#include "architectures/untied_decoder.h"
#include "common/nearest.h"

namespace crossloom::architectures {
namespace {

std::unique_ptr<Transcoder> untied_topk(const TranscoderOptions& options,
                                        const TranscoderShape& shape, at::ScalarType type,
                                        int64_t reach) {
  return std::make_unique<ComposedTranscoder>(options, shape, type,
                                              std::make_unique<TopK>(options.k),
                                              std::make_unique<UntiedDecoder>(shape, reach, type));
}

Registry built_in() {
  Registry registry;
  registry.add(
      {"clt-topk", "clt", "topk", false,
       [](const TranscoderOptions& options, const TranscoderShape& shape, at::ScalarType type) {
         return untied_topk(options, shape, type, shape.layers - 1);
       }});
  registry.add({"plt-topk", "plt", "topk", false,
                [](const TranscoderOptions& options, const TranscoderShape& shape,
                   at::ScalarType type) { return untied_topk(options, shape, type, 0); }});
  return registry;
}

void check_options(const TranscoderOptions& options, const TranscoderShape& shape) {
  require_at_least("transcoder.features", options.features, 1);
  require_at_least("transcoder.k", options.k, 1);
  CROSSLOOM_CHECK(options.features == shape.features && shape.layers >= 1 && shape.width >= 1,
                  "shape L {}, D {}, F {}", shape.layers, shape.width, shape.features);
  if (options.k > options.features) {
    throw ConfigError(
        {.what = "More features are to be kept than there are",
         .expected = fmt::format("transcoder.k ≤ transcoder.features = {}", options.features),
         .got = fmt::format("{}", options.k),
         .where = "transcoder.k",
         .hint = "Lower k or raise features."});
  }
}

}  // namespace

Registry& Registry::instance() {
  static Registry registry = built_in();
  return registry;
}

std::vector<std::string> Registry::names() const {
  std::vector<std::string> all;
  for (const auto& row : rows_) {
    all.push_back(row.name);
  }
  return all;
}

void Registry::add(Row row) {
  const auto known = names();
  if (std::find(known.begin(), known.end(), row.name) != known.end()) {
    throw ConfigError({.what = fmt::format("Architecture '{}' is already registered", row.name),
                       .expected = "a new name",
                       .got = row.name,
                       .where = "Registry::add",
                       .hint = "Choose another name."});
  }
  rows_.push_back(std::move(row));
}

std::unique_ptr<Transcoder> Registry::create(const TranscoderOptions& options,
                                             const TranscoderShape& shape,
                                             at::ScalarType type) const {
  require_one_of("transcoder.architecture", options.architecture, names());
  check_options(options, shape);
  const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& candidate) {
    return candidate.name == options.architecture;
  });
  return row->create(options, shape, type);
}

}  // namespace crossloom::architectures
