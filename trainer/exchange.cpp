#include "trainer/exchange.h"

#include <algorithm>
#include <cstddef>

namespace crossloom::trainer {
namespace {

/// body(bytes, how many) for what `piece` of the flat vector holds of each parameter, in order.
template <typename Body>
void for_parts(const std::vector<architectures::Parameter>& parameters, const FlatLayout& layout,
               const Range& piece, Body&& body) {
  for (size_t p = 0; p < parameters.size(); ++p) {
    const Range part = layout.part(p, piece);
    if (part.count() > 0) {
      const at::Tensor& value = parameters[p].value;
      body(static_cast<std::byte*>(value.mutable_data_ptr()) + part.begin * value.element_size(),
           static_cast<size_t>(part.count() * value.element_size()));
    }
  }
}

}  // namespace

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

int64_t Exchange::most_owned(const FlatLayout& layout) const {
  int64_t most = 0;
  for (int64_t r = 0; r < communicator_.size(); ++r) {
    most = std::max(most, owned(layout, r).count());
  }
  return most;
}

std::vector<Range> Exchange::pieces_at(const FlatLayout& layout, int64_t begin) const {
  std::vector<Range> pieces;
  for (int64_t r = 0; r < communicator_.size(); ++r) {
    const Range all = owned(layout, r);
    pieces.push_back(overlap(all, {all.begin + begin, all.begin + begin + travelling_}));
  }
  return pieces;
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
  const int64_t most = most_owned(layout);
  if (!sent_.defined()) {
    const int64_t longest = std::min(most, travelling_);
    sent_ = at::empty({ranks * longest}, total.options());
    received_ = at::empty({local, ranks * longest}, total.options());
  }
  for (int64_t begin = 0; begin < most; begin += travelling_) {
    const std::vector<Range> pieces = pieces_at(layout, begin);
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
                                  const FlatLayout& layout) {
  if (communicator_.size() == 1) {
    return;
  }
  const auto own = static_cast<size_t>(communicator_.rank());
  for (int64_t begin = 0; begin < most_owned(layout); begin += travelling_) {
    const std::vector<Range> pieces = pieces_at(layout, begin);
    std::vector<int64_t> sizes_bytes(pieces.size(), 0);
    std::vector<size_t> places{0};  // of the pieces in gathered_, end to end
    for (size_t r = 0; r < pieces.size(); ++r) {
      for_parts(parameters, layout, pieces[r],
                [&](std::byte*, size_t size_bytes) { sizes_bytes[r] += int64_t(size_bytes); });
      places.push_back(places[r] + static_cast<size_t>(sizes_bytes[r]));
    }
    gathered_.resize(std::max(gathered_.size(), places.back()));
    std::byte* to = gathered_.data() + places[own];
    for_parts(parameters, layout, pieces[own], [&](const std::byte* part, size_t size_bytes) {
      to = std::copy_n(part, size_bytes, to);
    });
    communicator_.all_gather_v(gathered_.data() + places[own], gathered_.data(), sizes_bytes);
    for (size_t r = 0; r < pieces.size(); ++r) {
      const std::byte* from = gathered_.data() + places[r];
      for_parts(parameters, layout, pieces[r], [&](std::byte* part, size_t size_bytes) {
        std::copy_n(from, size_bytes, part);
        from += size_bytes;
      });
    }
  }
}

}  // namespace crossloom::trainer
