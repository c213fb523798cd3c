#include "architectures/registry.h"

#include <algorithm>

#include "architectures/affine.h"
#include "architectures/batch_topk.h"
#include "architectures/clt.h"
#include "architectures/composed_transcoder.h"
#include "architectures/incremental.h"
#include "architectures/jumprelu.h"
#include "architectures/plt.h"
#include "architectures/relu.h"
#include "architectures/source_tied.h"
#include "architectures/stored_weights.h"
#include "architectures/topk.h"
#include "common/nearest.h"

namespace crossloom::architectures {
namespace {

std::unique_ptr<Activation> make_activation(const std::string& name,
                                            const TranscoderOptions& options,
                                            const TranscoderShape& shape, at::ScalarType type) {
  if (name == "topk") {
    return std::make_unique<TopK>(options.k, shape.features);
  }
  if (name == "batchtopk") {
    return std::make_unique<BatchTopK>(options.k, shape, computed_type(type));
  }
  if (name == "relu") {
    return std::make_unique<Relu>();
  }
  CROSSLOOM_CHECK(name == "jumprelu", "no activation '{}'", name);
  return std::make_unique<JumpRelu>(options.jumprelu, shape, computed_type(type));
}

std::unique_ptr<const DecoderTopology> make_topology(const std::string& name,
                                                     const TranscoderOptions& options,
                                                     const TranscoderShape& shape,
                                                     at::ScalarType type) {
  if (name == "plt") {
    return std::make_unique<Plt>(shape, type);
  }
  if (name == "clt") {
    return std::make_unique<Clt>(shape, type, options.window);
  }
  if (name == "clt-incremental") {
    return std::make_unique<Incremental>(shape, type);
  }
  if (name == "clt-incremental-affine") {
    return std::make_unique<AffineTied>(shape, type, AffineTied::Tie::kTarget);
  }
  if (name == "clt-source-tied-affine") {
    return std::make_unique<AffineTied>(shape, type, AffineTied::Tie::kSource);
  }
  CROSSLOOM_CHECK(name == "clt-source-tied", "no topology '{}'", name);
  return std::make_unique<SourceTied>(shape, type);
}

void check_window(const std::string& topology, int64_t window) {
  if (window >= 0 && topology != "clt") {
    throw ConfigError({.what = "'window' is set for an architecture that has none",
                       .expected = "an untied clt architecture, or window: -1",
                       .got = fmt::format("window {} with topology {}", window, topology),
                       .where = "window",
                       .hint = "choose a clt row such as clt-topk"});
  }
}

Registry::Row composed(const char* name, const char* topology, const char* activation, bool skip) {
  return {name, topology, activation, skip,
          [=](const TranscoderOptions& options, const TranscoderShape& shape,
              at::ScalarType type) -> std::unique_ptr<Transcoder> {
            check_window(topology, options.window);
            return std::make_unique<ComposedTranscoder>(
                options, shape, type, make_activation(activation, options, shape, type),
                make_topology(topology, options, shape, type), skip);
          }};
}

constexpr bool kSkip = true;

Registry built_in_rows() {
  Registry registry;
  for (Registry::Row& row : std::vector<Registry::Row>{
           // The eleven types of the Circuits Research Landscape (transcoders.md 2).
           composed("clt-jumprelu", "clt", "jumprelu", false),
           composed("clt-relu", "clt", "relu", false),
           composed("clt-topk", "clt", "topk", false),
           composed("clt-incremental-topk", "clt-incremental", "topk", false),
           composed("clt-incremental-topk-skip", "clt-incremental", "topk", kSkip),
           composed("plt-jumprelu", "plt", "jumprelu", false),
           composed("plt-jumprelu-skip", "plt", "jumprelu", kSkip),
           composed("plt-relu", "plt", "relu", false),
           composed("plt-relu-skip", "plt", "relu", kSkip),
           composed("plt-topk", "plt", "topk", false),
           composed("plt-topk-skip", "plt", "topk", kSkip),
           // Cells the landscape left empty (19).
           composed("clt-jumprelu-skip", "clt", "jumprelu", kSkip),
           composed("clt-relu-skip", "clt", "relu", kSkip),
           composed("clt-topk-skip", "clt", "topk", kSkip),
           composed("clt-incremental-jumprelu", "clt-incremental", "jumprelu", false),
           composed("clt-incremental-jumprelu-skip", "clt-incremental", "jumprelu", kSkip),
           composed("clt-incremental-relu", "clt-incremental", "relu", false),
           composed("clt-incremental-relu-skip", "clt-incremental", "relu", kSkip),
           composed("clt-batchtopk", "clt", "batchtopk", false),
           composed("clt-incremental-batchtopk", "clt-incremental", "batchtopk", false),
           composed("plt-batchtopk", "plt", "batchtopk", false),
           composed("plt-batchtopk-skip", "plt", "batchtopk", kSkip),
           composed("clt-source-tied", "clt-source-tied", "topk", false),
           // With the affine option (5.4).
           composed("clt-incremental-topk-affine", "clt-incremental-affine", "topk", false),
           composed("clt-source-tied-affine", "clt-source-tied-affine", "topk", false),
       }) {
    registry.add(std::move(row));
  }
  return registry;
}

void check_shape_options(const TranscoderOptions& options, const TranscoderShape& shape) {
  require_at_least("features", options.features, 1);
  require_at_least("layers", shape.layers, 1);
  require_at_least("width", shape.width, 1);
  require_at_least("window", options.window, -1);
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

const Registry::Row& Registry::row(const std::string& name) const {
  const auto found = std::find_if(rows_.begin(), rows_.end(),
                                  [&](const Row& known) { return known.name == name; });
  if (found == rows_.end()) {
    throw ConfigError({.what = fmt::format("there is no architecture '{}'", name),
                       .expected = fmt::format("one of {}", fmt::join(names(), ", ")),
                       .got = name,
                       .where = "architecture",
                       .hint = fmt::format("did you mean '{}'?", nearest_name(name, names()))});
  }
  return *found;
}

std::unique_ptr<Transcoder> Registry::create(const TranscoderOptions& options,
                                             const TranscoderShape& shape,
                                             at::ScalarType type) const {
  const Row& wanted = row(options.architecture);
  check_shape_options(options, shape);
  return wanted.create(options, shape, type);
}

void Registry::check(const TranscoderOptions& options) const {
  create(options, {1, 1, options.features}, at::kFloat);
}

}  // namespace crossloom::architectures
