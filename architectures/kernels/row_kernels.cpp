#include "architectures/kernels/row_kernels.h"

// Sanitizers instrument the load-time resolver of cloned functions, which then runs too early.
#if defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
#define CROSSLOOM_MULTIVERSION
#else
#define CROSSLOOM_MULTIVERSION \
  __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#endif

namespace crossloom::architectures {

CROSSLOOM_MULTIVERSION
void axpy(int64_t n, float a, const float* __restrict x, float* __restrict y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    y[i] += a * x[i];
  }
}

CROSSLOOM_MULTIVERSION
void axpy(int64_t n, double a, const double* __restrict x, double* __restrict y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    y[i] += a * x[i];
  }
}

CROSSLOOM_MULTIVERSION
float dot(int64_t n, const float* __restrict x, const float* __restrict y) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    sum += x[i] * y[i];
  }
  return sum;
}

CROSSLOOM_MULTIVERSION
double dot(int64_t n, const double* __restrict x, const double* __restrict y) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    sum += x[i] * y[i];
  }
  return sum;
}

CROSSLOOM_MULTIVERSION
float dot_axpy(int64_t n, float a, const float* __restrict g, const float* __restrict w,
               float* __restrict dw) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    sum += g[i] * w[i];
    dw[i] += a * g[i];
  }
  return sum;
}

CROSSLOOM_MULTIVERSION
double dot_axpy(int64_t n, double a, const double* __restrict g, const double* __restrict w,
                double* __restrict dw) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    sum += g[i] * w[i];
    dw[i] += a * g[i];
  }
  return sum;
}

}  // namespace crossloom::architectures
