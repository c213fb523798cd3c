// What ranks tell each other during a data-parallel step, and in which order it is added up.
//
// The token axis is cut into S virtual shards (S = R in the default mode; fixed, independent of R,
// in the deterministic mode); rank r holds shards r·S/R …. Every reduction adds the S partial
// results in shard order 0 … S−1, so the arithmetic does not know R (distributed.md 6.2). The same
// S cuts the flat parameter vector into blocks (flat_layout.h), of which rank r owns r·S/R ….
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "common/communicator.h"
#include "trainer/flat_buffer.h"

namespace crossloom::trainer {

class Exchange {
 public:
  /// `shards` is S; R must divide it. `travelling`: elements of one owner in flight at a time. Few,
  /// so that what arrives is used while the cache holds it and needs little room.
  Exchange(Communicator& communicator, int64_t shards, int64_t travelling = int64_t{1} << 20);

  int64_t shards() const { return shards_; }
  int64_t local_shards() const { return shards_ / communicator_.size(); }
  int64_t first_shard() const { return communicator_.rank() * local_shards(); }
  Communicator& communicator() const { return communicator_; }

  /// values: this rank's shards, [S/R] rows of n doubles → those of all S, in shard order.
  std::vector<double> gather_shards(std::span<const double> values, int64_t n) const;

  /// partials: this rank's shards, [S/R] rows of n doubles → total over all S in shard order, [n].
  std::vector<double> ordered_sum(std::span<const double> partials, int64_t n) const;

  /// What rank r owns of the flat vector; without r, what this one does.
  Range owned(const FlatLayout& layout, int64_t r) const {
    return layout.block_range(r * local_shards(), local_shards());
  }
  Range owned(const FlatLayout& layout) const { return owned(layout, communicator_.rank()); }

  /// partials[j]: flat gradient of local shard j → gradient of what this rank owns, added in shard
  /// order. It replaces that part of partials[0]; whatever else the partials held is then worth
  /// nothing.
  at::Tensor reduce_to_owners(const std::vector<FlatBuffer>& partials);

  /// What every rank owns becomes known to all, in place.
  void gather_from_owners(const std::vector<architectures::Parameter>& parameters,
                          const FlatLayout& layout);

 private:
  /// Elements of who owns the most.
  int64_t most_owned(const FlatLayout& layout) const;
  /// Of what each rank owns, the next travelling_ elements from its `begin`-th on.
  std::vector<Range> pieces_at(const FlatLayout& layout, int64_t begin) const;
  /// Each local shard's pieces to their owners; those of this rank's piece into received_.
  void exchange_pieces(const std::vector<FlatBuffer>& partials, const std::vector<Range>& pieces);

  Communicator& communicator_;
  int64_t shards_;
  int64_t travelling_;
  at::Tensor sent_;      // [R · n] of one shard's gradient, up to n elements for each owner
  at::Tensor received_;  // [S/R, R · n]: up to n elements from each rank, end to end
  std::vector<std::byte> gathered_;
};

}  // namespace crossloom::trainer
