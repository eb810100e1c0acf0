// Products of small integers for AVX2 and AVX-512.
//
// One instruction (vpmaddubsw) multiplies two bytes each of a row and of a column and adds the two products;
// sums wrap around in 16 bits until a run of features is through, then the two of a column are added in 32.
// What wraps comes back, since what is left in the end fits. Newer processors (VNNI) multiply and add four
// bytes in 32 bits at once.
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "coarse.hpp"
#include "coarse_tiles.hpp"

#define ALBENCH_INLINE __attribute__((always_inline)) inline
#define ALBENCH_AVX2 __attribute__((target("avx2,fma")))
#define ALBENCH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define ALBENCH_VNNI __attribute__((target("avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

namespace albench {
namespace {

// Rows x 8 * Vectors outputs.
template <unsigned Rows, unsigned Vectors>
ALBENCH_AVX2 ALBENCH_INLINE void tile_avx2(const std::int8_t* x, Index x_stride, const std::uint8_t* panel,
                                           Index depth, std::int32_t* c, Index ldc) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (Index start = 0; start < depth; start += kCoarseRun) {
    __m256i sum[Rows][Vectors];
#pragma GCC unroll 6
    for (unsigned r = 0; r < Rows; ++r) {
      const __m256i from = _mm256_set1_epi32(start_of_run(x + r * x_stride, depth, start));
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = from;
    }
    const Index end = std::min(depth, start + kCoarseRun);
    for (Index k = start; k < end; k += kQuad) {
      __m256i q[Vectors];
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v)
        q[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + k * kPanel + 32 * v));
#pragma GCC unroll 6
      for (unsigned r = 0; r < Rows; ++r) {
        const __m256i xr = _mm256_set1_epi32(coarse_word(x + r * x_stride + k));
#pragma GCC unroll 3
        for (unsigned v = 0; v < Vectors; ++v)
          sum[r][v] = _mm256_add_epi16(sum[r][v], _mm256_maddubs_epi16(q[v], xr));
      }
    }
#pragma GCC unroll 6
    for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) {
        auto* to = reinterpret_cast<__m256i*>(c + r * ldc + 8 * v);
        const __m256i wide = _mm256_madd_epi16(sum[r][v], ones);
        _mm256_storeu_si256(to, start == 0 ? wide : _mm256_add_epi32(wide, _mm256_loadu_si256(to)));
      }
  }
}

template <unsigned Rows, unsigned Vectors>
ALBENCH_AVX512 ALBENCH_INLINE void tile_avx512(const std::int8_t* x, Index x_stride,
                                               const std::uint8_t* panel, Index depth, std::int32_t* c,
                                               Index ldc) {
  const __m512i ones = _mm512_set1_epi16(1);
  for (Index start = 0; start < depth; start += kCoarseRun) {
    __m512i sum[Rows][Vectors];
#pragma GCC unroll 8
    for (unsigned r = 0; r < Rows; ++r) {
      const __m512i from = _mm512_set1_epi32(start_of_run(x + r * x_stride, depth, start));
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = from;
    }
    const Index end = std::min(depth, start + kCoarseRun);
    for (Index k = start; k < end; k += kQuad) {
      __m512i q[Vectors];
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) q[v] = _mm512_loadu_si512(panel + k * kPanel + 64 * v);
#pragma GCC unroll 8
      for (unsigned r = 0; r < Rows; ++r) {
        const __m512i xr = _mm512_set1_epi32(coarse_word(x + r * x_stride + k));
#pragma GCC unroll 3
        for (unsigned v = 0; v < Vectors; ++v)
          sum[r][v] = _mm512_add_epi16(sum[r][v], _mm512_maddubs_epi16(q[v], xr));
      }
    }
#pragma GCC unroll 8
    for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) {
        std::int32_t* to = c + r * ldc + 16 * v;
        const __m512i wide = _mm512_madd_epi16(sum[r][v], ones);
        _mm512_storeu_si512(to, start == 0 ? wide : _mm512_add_epi32(wide, _mm512_loadu_si512(to)));
      }
  }
}

template <unsigned Rows, unsigned Vectors>
ALBENCH_VNNI ALBENCH_INLINE void tile_vnni(const std::int8_t* x, Index x_stride, const std::uint8_t* panel,
                                           Index depth, std::int32_t* c, Index ldc) {
  __m512i sum[Rows][Vectors];
#pragma GCC unroll 8
  for (unsigned r = 0; r < Rows; ++r) {
    const __m512i from = _mm512_set1_epi32(start_of_all(x + r * x_stride, depth));
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = from;
  }
  for (Index k = 0; k < depth; k += kQuad) {
    __m512i q[Vectors];
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) q[v] = _mm512_loadu_si512(panel + k * kPanel + 64 * v);
#pragma GCC unroll 8
    for (unsigned r = 0; r < Rows; ++r) {
      const __m512i xr = _mm512_set1_epi32(coarse_word(x + r * x_stride + k));
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], q[v], xr);
    }
  }
#pragma GCC unroll 8
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) _mm512_storeu_si512(c + r * ldc + 16 * v, sum[r][v]);
}

ALBENCH_COARSE_DOT(avx2, ALBENCH_AVX2, 6, 16, (tile_avx2<Rows, 2>))
ALBENCH_COARSE_DOT(avx512, ALBENCH_AVX512, 8, 48, (tile_avx512<Rows, 3>))
ALBENCH_COARSE_DOT(vnni, ALBENCH_VNNI, 8, 48, (tile_vnni<Rows, 3>))

}  // namespace

KernelTable with_avx2_coarse(KernelTable table) {
  table.coarse_dot = dot_avx2;
  return table;
}

KernelTable with_avx512_coarse(KernelTable table) {
  table.coarse_dot = dot_avx512;
  return table;
}

KernelTable with_vnni_coarse(KernelTable table) {
  table.coarse_dot = dot_vnni;
  return table;
}

}  // namespace albench
#endif
