#include "trainer/exchange.h"

namespace crossloom::trainer {

Exchange::Exchange(Communicator& communicator, int64_t shards)
    : communicator_(communicator), shards_(shards) {
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

at::Tensor Exchange::reduce_to_owners(const std::vector<FlatBuffer>& partials,
                                      at::Tensor& scratch) const {
  const int64_t ranks = communicator_.size();
  const int64_t local = local_shards();
  const int64_t own = local * partials.front().block_size();  // elements of this rank's blocks
  if (ranks == 1 && local == 1) {
    return partials.front().whole();
  }
  if (!scratch.defined()) {
    scratch = at::empty({local, ranks, own}, partials.front().whole().options());
  }
  const std::vector<int64_t> sizes(static_cast<size_t>(ranks),
                                   own * partials.front().whole().element_size());
  for (int64_t j = 0; j < local; ++j) {
    communicator_.all_to_all_v(partials[static_cast<size_t>(j)].whole().const_data_ptr(), sizes,
                               scratch[j].mutable_data_ptr(), sizes);
  }
  at::Tensor total = scratch[0][0];  // shard 0; the others follow in order
  for (int64_t s = 1; s < shards_; ++s) {
    total.add_(scratch[s % local][s / local]);
  }
  return total;
}

void Exchange::gather_from_owners(FlatBuffer& weights) const {
  if (communicator_.size() == 1) {
    return;
  }
  const int64_t own = local_shards() * weights.block_size();
  const at::Tensor mine = weights.whole().narrow(0, communicator_.rank() * own, own).clone();
  communicator_.all_gather(mine.const_data_ptr(), weights.whole().mutable_data_ptr(),
                           own * mine.element_size());
}

}  // namespace crossloom::trainer
