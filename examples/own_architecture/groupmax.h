// GroupMax, an activation that Crossloom does not have: features are split into K groups of
// neighbours, and each group's largest positive pre-activation is kept. No search over all features
// is needed, so it is fast where a layer's features are spread over ranks.
#pragma once

#include <architectures/activation.h>
#include <architectures/row_selection.h>

namespace own {

using namespace crossloom::architectures;

class GroupMax final : public Activation {
 public:
  GroupMax(int64_t k, int64_t features) : groups_(k), features_(features) {
    if (k < 1 || features % k != 0) {
      throw crossloom::ConfigError({.what = "GroupMax needs groups of equal size",
                                    .expected = fmt::format("k that divides {} features", features),
                                    .got = fmt::format("k = {}", k),
                                    .where = "k",
                                    .hint = "choose another k"});
    }
  }

  /// h [T, F] of all features; the winners of every group become candidates.
  Candidates propose(int64_t layer, const at::Tensor& h, int64_t first_feature,
                     Watch /*watch*/) const override {
    CROSSLOOM_CHECK(first_feature == 0 && h.size(1) == features_, "GroupMax needs whole layers");
    check_finite(layer, h, 0);
    const at::Tensor grouped = h.reshape({h.size(0), groups_, -1});  // [T, K, F/K]
    const auto [largest, place] = grouped.max(2);                    // [T, K]
    const at::Tensor start = at::arange(groups_, at::kLong) * (features_ / groups_);
    const at::Tensor every_group = at::full({h.size(0)}, groups_, at::kLong);
    LayerCodes codes = make_rows(every_group, h.options(), /*with_pre=*/false);
    codes.index.copy_((place + start).reshape({-1}));
    codes.value.copy_(largest.reshape({-1}));
    return select_entries(codes, codes.value.gt(0));
  }

  std::string describe() const override {
    return fmt::format("GroupMax: the largest of ReLU(h) in each of K = {} groups", groups_);
  }

 private:
  int64_t groups_;
  int64_t features_;
};

}  // namespace own
