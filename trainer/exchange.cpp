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
  const FlatLayout& layout = partials.front().layout();
  const int64_t ranks = communicator_.size();
  const int64_t local = local_shards();
  const at::Tensor total = partials.front().part(owned(layout));
  if (ranks == 1) {  // shard 0; the others follow in order
    for (int64_t j = 1; j < local; ++j) {
      total.add_(partials[static_cast<size_t>(j)].whole());
    }
    return total;
  }
  int64_t most = 0;  // elements of one owner
  for (int64_t r = 0; r < ranks; ++r) {
    most = std::max(most, owned(layout, r).count());
  }
  const int64_t longest = std::min(most, travelling_);
  if (!sent_.defined()) {
    sent_ = at::empty({ranks * longest}, total.options());
    received_ = at::empty({local, ranks * longest}, total.options());
  }
  for (int64_t begin = 0; begin < most; begin += longest) {
    std::vector<Range> pieces;  // of each owner's elements, those that travel now
    for (int64_t r = 0; r < ranks; ++r) {
      const Range all = owned(layout, r);
      pieces.push_back(overlap(all, {all.begin + begin, all.begin + begin + longest}));
    }
    exchange_pieces(partials, pieces);
    const Range own = pieces[static_cast<size_t>(communicator_.rank())];
    const at::Tensor sum = partials.front().part(own);
    sum.copy_(received_[0].narrow(0, 0, own.count()));
    for (int64_t s = 1; s < shards_; ++s) {
      sum.add_(received_[s % local].narrow(0, s / local * own.count(), own.count()));
    }
  }
  return total;
}

void Exchange::exchange_pieces(const std::vector<FlatBuffer>& partials,
                               const std::vector<Range>& pieces) {
  std::vector<int64_t> sizes_bytes_out;
  for (const Range& piece : pieces) {
    sizes_bytes_out.push_back(piece.count() * sent_.element_size());
  }
  const int64_t own_bytes = sizes_bytes_out[static_cast<size_t>(communicator_.rank())];
  const std::vector<int64_t> sizes_bytes_in(pieces.size(), own_bytes);
  for (size_t j = 0; j < partials.size(); ++j) {
    int64_t place = 0;
    for (const Range& piece : pieces) {
      sent_.narrow(0, place, piece.count()).copy_(partials[j].part(piece));
      place += piece.count();
    }
    communicator_.all_to_all_v(sent_.const_data_ptr(), sizes_bytes_out,
                               received_[static_cast<int64_t>(j)].mutable_data_ptr(),
                               sizes_bytes_in);
  }
}

void Exchange::gather_from_owners(const std::vector<architectures::Parameter>& parameters,
                                  const FlatLayout& layout) const {
  if (communicator_.size() == 1) {
    return;
  }
  for (size_t p = 0; p < parameters.size(); ++p) {
    const at::Tensor& value = parameters[p].value;
    std::vector<int64_t> sizes_bytes;
    for (int64_t r = 0; r < communicator_.size(); ++r) {
      sizes_bytes.push_back(layout.part(p, owned(layout, r)).count() * value.element_size());
    }
    auto* all = static_cast<std::byte*>(value.mutable_data_ptr());
    const int64_t begin_bytes = layout.part(p, owned(layout)).begin * value.element_size();
    communicator_.all_gather_v(all + begin_bytes, all, sizes_bytes);
  }
}

}  // namespace crossloom::trainer
