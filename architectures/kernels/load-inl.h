// For files that Highway compiles once per instruction set: loads of stored numbers as the numbers
// that are computed with, loops over an array, stores of some lanes, and loops whose vectors stay
// in registers. Included again for every target.
#if defined(CROSSLOOM_LOAD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CROSSLOOM_LOAD_INL_H
#undef CROSSLOOM_LOAD_INL_H
#else
#define CROSSLOOM_LOAD_INL_H
#endif

#include <hwy/highway.h>

/// Before a loop over vectors of an array, so that they stay in registers. Not under the address
/// sanitizer, which keeps them in memory anyway: GCC 12 fails on such loops there.
#ifndef CROSSLOOM_UNROLL
#ifdef __SANITIZE_ADDRESS__
#define CROSSLOOM_UNROLL
#else
#define CROSSLOOM_UNROLL _Pragma("GCC unroll 16")
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace crossloom::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename Tag>
HWY_INLINE hn::Vec<Tag> load_as(Tag d, const hn::TFromD<Tag>* from) {
  return hn::LoadU(d, from);
}

/// bfloat16 → float32, exact.
template <typename Tag>
HWY_INLINE hn::Vec<Tag> load_as(Tag d, const hwy::bfloat16_t* from) {
  const hn::Rebind<uint16_t, Tag> half;
  const hn::RebindToUnsigned<Tag> word;
  const auto bits = hn::LoadU(half, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(word, bits)));
}

/// Calls body(first, is_new) on float32 vectors that cover [0, count), count ≥ lanes: the last one
/// begins early enough to fit, and its mask leaves out what the one before held.
template <typename Body>
HWY_INLINE void for_vectors(int64_t count, Body&& body) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    body(i, hn::FirstN(d, static_cast<size_t>(lanes)));
  }
  if (i < count) {
    body(count - lanes, hn::Not(hn::FirstN(d, static_cast<size_t>(lanes - (count - i)))));
  }
}

/// Stores the lanes in `mask` one after the other and returns how many they are; a whole vector is
/// written. To compress into memory takes AMD's Zen 4 fifteen times as long.
template <typename Tag>
HWY_INLINE int64_t store_lanes(Tag d, hn::Vec<Tag> values, hn::Mask<Tag> mask,
                               hn::TFromD<Tag>* to) {
  hn::StoreU(hn::Compress(values, mask), d, to);
  return static_cast<int64_t>(hn::CountTrue(d, mask));
}

/// The vector as it is, in a register: a compiler that sees a loaded vector used twice may read it
/// from memory twice, which costs where loads are what a loop waits for.
template <typename Vector>
HWY_INLINE Vector in_register(Vector vector) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR
  asm("" : "+v"(vector.raw));
#endif
  return vector;
}

}  // namespace crossloom::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
