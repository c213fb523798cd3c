#include "trainer/exchange.h"

#include <algorithm>
#include <cstddef>

namespace crossloom::trainer {

Exchange::Exchange(Communicator& communicator, int64_t shards, int64_t travelling)
    : communicator_(communicator), shards_(shards), travelling_(travelling) {
  CROSSLOOM_CHECK(shards % communicator.size() == 0, "{} shards over {} ranks", shards,
                  communicator.size());
}

std::vector<double> Exchange::gather_shards(std::span<const double> values, int64_t n) const {
  std::vector<double> all(static_cast<size_t>(shards_ * n));
  communicator_.all_gather(values.data(), all.data(),
                           local_shards() * n * static_cast<int64_t>(sizeof(double)));
  return all;
}

std::vector<double> Exchange::ordered_sum(std::span<const double> partials, int64_t n) const {
  const std::vector<double> all = gather_shards(partials, n);
  std::vector<double> total(static_cast<size_t>(n), 0.0);
  for (int64_t s = 0; s < shards_; ++s) {
    for (int64_t i = 0; i < n; ++i) {
      total[static_cast<size_t>(i)] += all[static_cast<size_t>(s * n + i)];
    }
  }
  return total;
}

at::Tensor Exchange::reduce_to_owners(const std::vector<FlatBuffer>& partials) {
  const int64_t ranks = communicator_.size();
  const int64_t local = local_shards();
  const int64_t own = local * partials.front().block_size();  // elements of this rank's blocks
  const at::Tensor total = partials.front().whole().narrow(0, communicator_.rank() * own, own);
  if (ranks == 1) {  // shard 0; the others follow in order
    for (int64_t j = 1; j < local; ++j) {
      total.add_(partials[static_cast<size_t>(j)].whole());
    }
    return total;
  }
  const int64_t longest = std::min(own, travelling_);
  if (!sent_.defined()) {
    sent_ = at::empty({ranks * longest}, total.options());
    received_ = at::empty({local, ranks * longest}, total.options());
  }
  for (int64_t begin = 0; begin < own; begin += longest) {
    const int64_t count = std::min(longest, own - begin);
    const std::vector<int64_t> sizes(static_cast<size_t>(ranks), count * total.element_size());
    for (int64_t j = 0; j < local; ++j) {
      const at::Tensor& partial = partials[static_cast<size_t>(j)].whole();
      for (int64_t r = 0; r < ranks; ++r) {
        sent_.narrow(0, r * count, count).copy_(partial.narrow(0, r * own + begin, count));
      }
      communicator_.all_to_all_v(sent_.const_data_ptr(), sizes, received_[j].mutable_data_ptr(),
                                 sizes);
    }
    const at::Tensor sum = total.narrow(0, begin, count);
    sum.copy_(received_[0].narrow(0, 0, count));
    for (int64_t s = 1; s < shards_; ++s) {
      sum.add_(received_[s % local].narrow(0, s / local * count, count));
    }
  }
  return total;
}

void Exchange::gather_from_owners(FlatBuffer& weights) const {
  if (communicator_.size() == 1) {
    return;
  }
  auto* all = static_cast<std::byte*>(weights.whole().mutable_data_ptr());
  const int64_t own_bytes = local_shards() * weights.block_size() * weights.whole().element_size();
  communicator_.all_gather(all + communicator_.rank() * own_bytes, all, own_bytes);
}

}  // namespace crossloom::trainer
