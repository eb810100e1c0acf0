// Products of small integers for ARM processors that multiply and add four bytes in 32 bits at once
// (FEAT_DotProd: ARMv8.2 servers and phones, every Apple silicon). Others multiply no more bytes than floats
// with one instruction.
#if defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <algorithm>
#include <cstring>

#include "coarse.hpp"

#define ALBENCH_INLINE __attribute__((always_inline)) inline
#if defined(__clang__)
#define ALBENCH_DOTPROD __attribute__((target("dotprod")))
#else
#define ALBENCH_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

namespace albench {
namespace {

bool multiplies_bytes() {
#if defined(__APPLE__)
  return true;
#elif defined(__linux__) && defined(HWCAP_ASIMDDP)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

constexpr unsigned kRows = 6;
constexpr unsigned kVectors = 3;
constexpr Index kWords = 4;  // of a vector
constexpr Index kWide = kVectors * kWords;
static_assert(kPanel % kWide == 0);
// Raised columns are signed bytes, too, as the instruction wants them.
static_assert(kCoarseZero + kCoarseMostColumn <= 127);

// Raised columns make a sum larger by kCoarseZero times this.
std::int32_t sum_of(const std::int8_t* row, Index depth) {
  std::int32_t all = 0;
  for (Index start = 0; start < depth; start += kCoarseRun) {
    std::int16_t two[2];
    std::memcpy(two, row + depth + start / kCoarseRun * kQuad, sizeof two);
    all += two[0] + two[1];
  }
  return all;
}

// Rows x kWide outputs.
template <unsigned Rows>
ALBENCH_DOTPROD ALBENCH_INLINE void tile(const std::int8_t* x, Index x_stride, const std::uint8_t* panel,
                                         Index depth, std::int32_t* c, Index ldc) {
  int32x4_t sum[Rows][kVectors];
#pragma GCC unroll 6
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < kVectors; ++v)
      sum[r][v] = vdupq_n_s32(-kCoarseZero * sum_of(x + r * x_stride, depth));
  for (Index k = 0; k < depth; k += kQuad) {
    int8x16_t q[kVectors];
#pragma GCC unroll 3
    for (unsigned v = 0; v < kVectors; ++v) q[v] = vreinterpretq_s8_u8(vld1q_u8(panel + k * kPanel + 16 * v));
#pragma GCC unroll 6
    for (unsigned r = 0; r < Rows; ++r) {
      std::int32_t four;
      std::memcpy(&four, x + r * x_stride + k, sizeof four);
      const int8x16_t xr = vreinterpretq_s8_s32(vdupq_n_s32(four));
#pragma GCC unroll 3
      for (unsigned v = 0; v < kVectors; ++v) sum[r][v] = vdotq_s32(sum[r][v], q[v], xr);
    }
  }
#pragma GCC unroll 6
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < kVectors; ++v) vst1q_s32(c + r * ldc + kWords * v, sum[r][v]);
}

// All rows, so many at a time, and all columns: a tile that is not full passes through a buffer.
template <unsigned Rows>
ALBENCH_DOTPROD void some_rows(const std::int8_t* x, Index x_stride, Index rows, const std::uint8_t* panel,
                               Index depth, std::int32_t* c, Index ldc, Index cols) {
  for (; rows >= Rows; rows -= Rows, x += Rows * x_stride, c += Rows * ldc)
    for (Index at = 0; at < cols; at += kWide) {
      if (cols - at >= kWide) {
        tile<Rows>(x, x_stride, panel + at * kQuad, depth, c + at, ldc);
        continue;
      }
      std::int32_t few[Rows * kWide];
      tile<Rows>(x, x_stride, panel + at * kQuad, depth, few, kWide);
      for (unsigned r = 0; r < Rows; ++r) std::copy_n(few + r * kWide, cols - at, c + r * ldc + at);
    }
  if constexpr (Rows > 1)
    if (rows > 0) some_rows<Rows / 2>(x, x_stride, rows, panel, depth, c, ldc, cols);
}

ALBENCH_DOTPROD void dot(const std::int8_t* x, Index x_stride, Index rows, const std::uint8_t* panel,
                         Index depth, std::int32_t* c, Index ldc, Index cols) {
  some_rows<kRows>(x, x_stride, rows, panel, depth, c, ldc, cols);
}

}  // namespace

KernelTable with_neon_coarse(KernelTable table) {
  if (multiplies_bytes()) table.coarse_dot = dot;
  return table;
}

}  // namespace albench
#endif
