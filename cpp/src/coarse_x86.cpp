// Products of small integers for AVX2 and AVX-512.
//
// One instruction (vpmaddubsw) multiplies two bytes each of a row and of a column and adds the two products;
// sums wrap around in 16 bits until a run of features is through, then the two of a column are added in 32.
// What wraps comes back, since what is left in the end fits. Raised columns (kCoarseZero) make these sums
// larger by kCoarseZero times the sums of a row's numbers, which they therefore start from, negative. Newer
// processors (VNNI) multiply and add four bytes in 32 bits at once.
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

constexpr int kShift = 6;  // kCoarseZero = 2^6
static_assert(1 << kShift == kCoarseZero);

ALBENCH_INLINE std::int32_t word(const std::int8_t* from) {
  std::int32_t four;
  std::memcpy(&four, from, sizeof four);
  return four;
}

// A row's sums for the run that begins at feature `start`, both in one word.
ALBENCH_INLINE std::int32_t sums(const std::int8_t* row, Index depth, Index start) {
  return word(row + depth + start / kCoarseRun * 4);
}

// Rows x 8 * Vectors outputs.
template <unsigned Rows, unsigned Vectors>
ALBENCH_AVX2 ALBENCH_INLINE void tile_avx2(const std::int8_t* x, Index x_stride, const std::uint8_t* panel,
                                           Index depth, std::int32_t* c, Index ldc) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (Index start = 0; start < depth; start += kCoarseRun) {
    __m256i sum[Rows][Vectors];
#pragma GCC unroll 6
    for (unsigned r = 0; r < Rows; ++r) {
      const __m256i raised =
          _mm256_slli_epi16(_mm256_set1_epi32(sums(x + r * x_stride, depth, start)), kShift);
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = _mm256_sub_epi16(_mm256_setzero_si256(), raised);
    }
    const Index end = std::min(depth, start + kCoarseRun);
    for (Index k = start; k < end; k += kQuad) {
      __m256i q[Vectors];
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v)
        q[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + k * kPanel + 32 * v));
#pragma GCC unroll 6
      for (unsigned r = 0; r < Rows; ++r) {
        const __m256i xr = _mm256_set1_epi32(word(x + r * x_stride + k));
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
      const __m512i raised =
          _mm512_slli_epi16(_mm512_set1_epi32(sums(x + r * x_stride, depth, start)), kShift);
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = _mm512_sub_epi16(_mm512_setzero_si512(), raised);
    }
    const Index end = std::min(depth, start + kCoarseRun);
    for (Index k = start; k < end; k += kQuad) {
      __m512i q[Vectors];
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) q[v] = _mm512_loadu_si512(panel + k * kPanel + 64 * v);
#pragma GCC unroll 8
      for (unsigned r = 0; r < Rows; ++r) {
        const __m512i xr = _mm512_set1_epi32(word(x + r * x_stride + k));
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
    const std::int32_t all = sum_of_numbers(x + r * x_stride, depth);
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = _mm512_set1_epi32(-kCoarseZero * all);
  }
  for (Index k = 0; k < depth; k += kQuad) {
    __m512i q[Vectors];
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) q[v] = _mm512_loadu_si512(panel + k * kPanel + 64 * v);
#pragma GCC unroll 8
    for (unsigned r = 0; r < Rows; ++r) {
      const __m512i xr = _mm512_set1_epi32(word(x + r * x_stride + k));
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
