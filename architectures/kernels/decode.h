// Products of codes with decoder tables: everything that layers write to some targets.
//
//   y[t] += Σ_writes Σ_{i active} a_{t,i} · table[i]
//
// A table is a view [F, d] with unit stride along columns and any stride between rows, e.g. one
// target's slice of fat rows. Whatever the way (DecodeWay), an element of y gets its terms one
// fused multiply-add at a time, writes in order, features ascending: the bits depend neither on the
// way nor on threads nor on how columns and tokens are cut.
#pragma once

#include <optional>
#include <vector>

#include "architectures/codes.h"

namespace crossloom::architectures::kernels {

/// Codes of T tokens and the table [F, d] their features write through.
struct DecodeWrite {
  const LayerCodes* codes = nullptr;
  at::Tensor table{};  // may be bfloat16 where y is float32
};

struct DecodeTarget {
  at::Tensor y;  // [T, d], added to
  std::vector<DecodeWrite> writes{};
};

/// How a write's rows reach y.
enum class DecodeWay {
  kInPlace,    // gathered from the table, token by token: few tokens
  kPacked,     // 64 columns of the table copied together, gathered from there by all tokens: every
               // row is read from memory once and used from the cache
  kByFeature,  // each active row read once and added to its tokens, whose 64 columns of y stay in
               // the cache: more features than codes, or tables too large to pack
};

/// All writes of all targets, in parallel. Without `way` each write goes the fastest one.
/// Throws InternalError for shapes, strides or types that do not fit.
void run_decode(const std::vector<DecodeTarget>& targets, std::optional<DecodeWay> way = {});

}  // namespace crossloom::architectures::kernels
