#include "trainer/non_finite.h"

#include <fmt/format.h>

namespace crossloom::trainer {
namespace {

std::optional<std::string> place_in(const char* kind, size_t layer, const at::Tensor& rows,
                                    const data::Batch& batch) {
  const at::Tensor bad = rows.isfinite().logical_not();
  if (!bad.any().item<bool>()) {
    return std::nullopt;
  }
  const at::Tensor first = bad.nonzero()[0];  // [2]
  const auto row = first[0].item<int64_t>();
  return fmt::format("{} of layer {}, row {} of the batch (document {}, position {}): {}", kind,
                     layer, row, batch.documents[row].item<int64_t>(),
                     batch.positions[row].item<int32_t>(),
                     rows[row][first[1].item<int64_t>()].item<float>());
}

}  // namespace

std::optional<std::string> non_finite_place(const data::Batch& batch) {
  for (size_t layer = 0; layer < batch.x.size(); ++layer) {
    for (const auto& [kind, rows] :
         {std::pair{"input", batch.x[layer]}, {"target", batch.y[layer]}}) {
      if (auto place = place_in(kind, layer, rows, batch)) {
        return place;
      }
    }
  }
  return std::nullopt;
}

}  // namespace crossloom::trainer
