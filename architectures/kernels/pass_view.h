// A pass over features as its kernel sees it (feature_pass.cpp), raw pointers instead of tensors.
#pragma once

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/ranges.h"
#include "architectures/transcoder.h"

namespace crossloom::architectures::kernels {

/// A FeaturePass (feature_pass.h); null where a tensor is undefined. Weights are Stored.
template <typename RealType, typename StoredType>
struct PassView {
  using Real = RealType;
  using Stored = StoredType;

  const int64_t* offsets;
  const int32_t* token;
  const Real* weight;
  const Real* rows;
  int64_t rows_stride;
  const Real* panels;  // panels_of(rows); null: not made
  int64_t panel;       // columns of a panel
  int64_t tokens;
  int64_t columns;
  Real* gradient;
  int64_t gradient_stride;
  const Stored* table;
  int64_t table_stride;
  Real* reach;
  const Real* start;
  const Real* start_row;  // one for all features; null: the table's
  GradientStretches* stretches;
  int64_t first_element;
  int64_t row_stride;
};

/// Some features of a pass, by one thread.
void run_features(const PassView<float, float>& pass, Range features);
void run_features(const PassView<float, bfloat16_t>& pass, Range features);
void run_features(const PassView<double, double>& pass, Range features);

/// Columns that run_features takes at once at most, with the widest vectors in use.
int64_t most_pass_columns();

}  // namespace crossloom::architectures::kernels
