// What kernels of the CUDA part are told: plain structs of device pointers, strides and sizes, so
// that a program without CUDA can fill them in (common/cuda_part.h has the functions). All pointers
// are to device memory unless said otherwise. What changes from step to step (codes, coefficients)
// is read from device memory at run time: a captured launch stays right when it is replayed.
//
// Letters as in common/shapes.h: T tokens, D model width, F features, K kept; d ≤ D are the columns
// that take part, nnz the codes of a layer. Matrices have unit column stride, strides are in
// elements.
#pragma once

#include <cstdint>

namespace crossloom {

/// How numbers are stored.
enum class CudaNumber : int32_t { kFloat, kHalf, kByte };  // float32, bfloat16, 8 bits

/// A layer's codes (architectures/codes.h); features ascend within a token.
struct CudaCodes {
  const int64_t* offsets;  // [T + 1]
  const int32_t* index;    // [nnz]
  const float* value;      // [nnz]
};

/// What a layer writes to a target.
struct CudaDecodeWrite {
  CudaCodes codes;
  const void* table;  // [F, d] of the launch's type
  int64_t table_stride;
};

struct CudaDecodeTarget {
  float* y;  // [T, d], added to
  int64_t y_stride;
  int64_t first_write;  // its place among the launch's writes
  int64_t write_count;
};

/// Twin of architectures/kernels/decode.h run_decode.
struct CudaDecode {
  const CudaDecodeTarget* targets;  // [target_count], the heaviest last
  const CudaDecodeWrite* writes;    // those of a target in the order of their sum
  int64_t target_count;
  int64_t tokens;         // T, of all targets
  int64_t columns;        // d, of all targets
  CudaNumber table_type;  // kFloat or kHalf, of all tables
};

/// Codes by feature (architectures/kernels/feature_lists.h) that a group of passes goes through.
struct CudaFeatureGroup {
  const int64_t* offsets;  // [F + 1]
  int64_t first_pass;      // its place among the launch's passes
  int64_t pass_count;
};

/// Twin of architectures/kernels/feature_pass.h FeaturePass.
struct CudaFeaturePass {
  const int32_t* token;  // [nnz], by feature
  const float* weight;   // [nnz], by feature
  const float* rows;     // [T, d]
  int64_t rows_stride;
  const void* table;  // [F, d] of the launch's type; null: no reach
  int64_t table_stride;
  float* reach;            // [nnz], by feature; added to, by passes of one group only
  const float* start;      // [F]; null: 0
  const float* start_row;  // [d], where there is a start and no table
  float* gradient;         // [F, d], added to; null: reach alone. Not used by Adam
  int64_t gradient_stride;
  float* weights;  // Adam only: [F, d] float32; may be the table, which then is in no other pass
  float* first;    // Adam only: the moments, with the weights' stride
  float* second;
  int64_t weights_stride;
};

/// Twin of trainer/flat_kernels.h AdamCoefficients<float>.
struct CudaAdam {
  float scale;
  float beta1;
  float rest1;
  float beta2;
  float rest2;
  float step_size;
  float root;
  float epsilon;
};

/// Twin of run_pass_groups. Groups run side by side, a group's passes one after another, so that
/// they may add to one reach.
struct CudaFeaturePasses {
  const CudaFeatureGroup* groups;  // [group_count]
  const CudaFeaturePass* passes;
  int64_t group_count;
  int64_t features;       // F, of all lists
  int64_t columns;        // d, of all passes
  CudaNumber table_type;  // kFloat or kHalf, of all tables
  const CudaAdam* adam;   // null: into gradients
};

/// Twin of group_by_feature. Arrays have room for `capacity` codes; how many there are, nnz, is
/// read from the codes' offsets.
struct CudaGrouping {
  CudaCodes codes;  // index below F is the caller's duty
  int64_t tokens;   // T
  int64_t capacity;
  int64_t features;       // F
  int64_t* list_offsets;  // [F + 1]
  int32_t* token;         // [capacity]
  float* weight;          // [capacity], the codes' values
  int32_t* entry;         // [capacity], place among the codes
  void* workspace;
  int64_t workspace_bytes;  // at least what group_workspace says
};

/// Twin of architectures/kernels/best_of_row.h, for all rows.
struct CudaBestOfRow {
  const float* rows;  // [T, F], no NaN
  int64_t rows_stride;
  int64_t tokens;    // T
  int64_t features;  // F
  int64_t kept;      // K
  int32_t* places;   // [T, K], ascending
  float* values;     // [T, K]
  int32_t* counts;   // [T], how many of a row's K are there
};

/// Twin of trainer/flat_kernels.h adam_stretch; all [count].
struct CudaAdamStretch {
  float* weights;
  const float* gradient;
  float* first;
  float* second;
  int64_t count;
  const CudaAdam* coefficients;
};

/// Twin of trainer/stored_kernels.h StoredCoefficients.
struct CudaStoredAdam {
  CudaAdam adam;
  float smallest_second;
  uint64_t key;
};

/// Twin of trainer/stored_kernels.h StoredStretch: whole rows, whose last block of 64 may be a part
/// of one.
struct CudaStoredStretch {
  void* weights;           // [count]
  CudaNumber weight_type;  // kFloat or kHalf
  void* first;             // [count]; null: β₁ = 0
  void* second;            // [count]
  CudaNumber state_type;
  float* first_scales;    // [blocks], kByte
  float* second_scales;   // [blocks], kByte
  const float* gradient;  // [count]
  int64_t count;          // a multiple of row
  int64_t row;            // elements of a row; blocks end with it
  int64_t element;        // the first one's number over all parameters
  const CudaStoredAdam* coefficients;
};

}  // namespace crossloom
