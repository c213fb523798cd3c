// Compiled once per instruction set by Highway (foreach_target), which also chooses at run time.
#include "architectures/kernels/best_of_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "architectures/kernels/best_of_row.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <functional>

#include "architectures/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace crossloom::architectures::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using crossloom::HWY_NAMESPACE::store_lanes;

template <typename Element>
HWY_INLINE void make_room(std::vector<Element>& buffer, int64_t count) {
  if (static_cast<int64_t>(buffer.size()) < count) {
    buffer.resize(static_cast<size_t>(count));
  }
}

/// Entries above a bar that rises: the `kept` largest so far, and at most 3·kept more.
template <typename Real>
class RisingBar {
 public:
  RisingBar(int64_t kept, std::vector<Real>& buffer) : kept_(kept), buffer_(buffer) {
    make_room(buffer, room() + kLanes);
  }

  HWY_INLINE void add(const Real* row) {
    const hn::ScalableTag<Real> d;
    const auto values = hn::LoadU(d, row);
    const auto above = hn::Gt(values, hn::Set(d, bar_));
    if (!hn::AllFalse(d, above)) {
      size_ += store_lanes(d, values, above, buffer_.data() + size_);
      lower_when_full();
    }
  }
  HWY_INLINE void add_one(Real value) {
    if (value > bar_) {
      buffer_[static_cast<size_t>(size_++)] = value;
      lower_when_full();
    }
  }
  /// The kept-th largest positive value and how many exceed it; 0 and all of them where fewer than
  /// `kept` are positive.
  struct Result {
    Real value;
    int64_t above;
  };
  Result result() {
    if (size_ < kept_) {
      return {Real{0}, size_};
    }
    shrink();
    const auto front = buffer_.begin();
    return {bar_, std::count_if(front, front + kept_, [&](Real value) { return value > bar_; })};
  }

  static constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<Real>()));

 private:
  int64_t room() const { return 4 * kept_; }
  void shrink() {
    const auto front = buffer_.begin();
    std::nth_element(front, front + (kept_ - 1), front + size_, std::greater<Real>());
    bar_ = buffer_[static_cast<size_t>(kept_ - 1)];
    size_ = kept_;
  }
  HWY_INLINE void lower_when_full() {
    if (size_ >= room()) {
      shrink();
    }
  }

  int64_t kept_;
  std::vector<Real>& buffer_;
  int64_t size_ = 0;
  Real bar_ = 0;
};

template <typename Real>
HWY_INLINE typename RisingBar<Real>::Result kth_of_row(const Real* row, int64_t n, int64_t kept,
                                                       std::vector<Real>& buffer) {
  RisingBar<Real> best(kept, buffer);
  int64_t i = 0;
  for (; i + RisingBar<Real>::kLanes <= n; i += RisingBar<Real>::kLanes) {
    best.add(row + i);
  }
  for (; i < n; ++i) {
    best.add_one(row[i]);
  }
  return best.result();
}

/// Places of positive entries ≥ bar, ascending; returns how many.
template <typename Real>
HWY_INLINE int64_t places_from(const Real* row, int64_t n, Real bar, int32_t* places) {
  const hn::ScalableTag<Real> d;
  constexpr int64_t kLanes = RisingBar<Real>::kLanes;
  const auto least = hn::Set(d, bar);
  int64_t size = 0;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto values = hn::LoadU(d, row + i);
    const auto in = hn::And(hn::Ge(values, least), hn::Gt(values, hn::Zero(d)));
    if (!hn::AllFalse(d, in)) {
      uint8_t bits[8] = {};
      hn::StoreMaskBits(d, in, bits);
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        places[size] = static_cast<int32_t>(i + lane);
        size += (bits[lane / 8] >> (lane % 8)) & 1;
      }
    }
  }
  for (; i < n; ++i) {
    places[size] = static_cast<int32_t>(i);
    size += row[i] >= bar && row[i] > Real{0} ? 1 : 0;
  }
  return size;
}

template <typename Real>
HWY_INLINE int64_t best_typed(const Real* row, int64_t n, int64_t kept, BestScratch<Real>& scratch,
                              int32_t* places) {
  const auto kth = kth_of_row(row, n, kept, scratch.values);
  make_room(scratch.places, n + 1);
  const int64_t found = places_from(row, n, kth.value, scratch.places.data());
  int64_t ties = kept - kth.above;  // of the entries that equal the kept-th
  int64_t size = 0;
  for (int64_t j = 0; j < found; ++j) {
    const int32_t place = scratch.places[static_cast<size_t>(j)];
    if (row[place] > kth.value || ties-- > 0) {
      places[size++] = place;
    }
  }
  return size;
}

int64_t BestFloat(const float* row, int64_t n, int64_t kept, BestScratch<float>& scratch,
                  int32_t* places) {
  return best_typed(row, n, kept, scratch, places);
}
int64_t BestDouble(const double* row, int64_t n, int64_t kept, BestScratch<double>& scratch,
                   int32_t* places) {
  return best_typed(row, n, kept, scratch, places);
}

}  // namespace crossloom::architectures::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace crossloom::architectures::kernels {

HWY_EXPORT(BestFloat);
HWY_EXPORT(BestDouble);

int64_t best_of_row(const float* row, int64_t n, int64_t kept, BestScratch<float>& scratch,
                    int32_t* places) {
  return HWY_DYNAMIC_DISPATCH(BestFloat)(row, n, kept, scratch, places);
}

int64_t best_of_row(const double* row, int64_t n, int64_t kept, BestScratch<double>& scratch,
                    int32_t* places) {
  return HWY_DYNAMIC_DISPATCH(BestDouble)(row, n, kept, scratch, places);
}

}  // namespace crossloom::architectures::kernels
#endif
