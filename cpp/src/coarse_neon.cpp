// Products of small integers for ARM processors that multiply and add four bytes in 32 bits at once
// (FEAT_DotProd: ARMv8.2 servers and phones, every Apple silicon). Others multiply no more bytes than floats
// with one instruction.
#if defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <cstring>

#include "coarse.hpp"
#include "coarse_tiles.hpp"

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

constexpr unsigned kVectors = 3;
constexpr Index kWords = 4;  // of a vector
constexpr Index kWide = kVectors * kWords;
static_assert(kPanel % kWide == 0);
// Raised columns are signed bytes, too, as the instruction wants them.
static_assert(kCoarseZero + kCoarseMostColumn <= 127);

// Rows x kWide outputs.
template <unsigned Rows>
ALBENCH_DOTPROD ALBENCH_INLINE void tile(const std::int8_t* x, Index x_stride, const std::uint8_t* panel,
                                         Index depth, std::int32_t* c, Index ldc) {
  int32x4_t sum[Rows][kVectors];
#pragma GCC unroll 6
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < kVectors; ++v) sum[r][v] = vdupq_n_s32(start_of_all(x + r * x_stride, depth));
  for (Index k = 0; k < depth; k += kQuad) {
    int8x16_t q[kVectors];
#pragma GCC unroll 3
    for (unsigned v = 0; v < kVectors; ++v) q[v] = vreinterpretq_s8_u8(vld1q_u8(panel + k * kPanel + 16 * v));
#pragma GCC unroll 6
    for (unsigned r = 0; r < Rows; ++r) {
      const int8x16_t xr = vreinterpretq_s8_s32(vdupq_n_s32(coarse_word(x + r * x_stride + k)));
#pragma GCC unroll 3
      for (unsigned v = 0; v < kVectors; ++v) sum[r][v] = vdotq_s32(sum[r][v], q[v], xr);
    }
  }
#pragma GCC unroll 6
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < kVectors; ++v) vst1q_s32(c + r * ldc + kWords * v, sum[r][v]);
}

ALBENCH_COARSE_DOT(neon, ALBENCH_DOTPROD, 6, kWide, (tile<Rows>))

}  // namespace

KernelTable with_neon_coarse(KernelTable table) {
  if (multiplies_bytes()) table.coarse_dot = dot_neon;
  return table;
}

}  // namespace albench
#endif
