// AVX-512 kernels. Compiled for every x86-64 build through the target attribute, called only where the
// processor has the instructions.
#include "albench/kernels.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>

#define ALBENCH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

namespace albench {
namespace {

ALBENCH_AVX512 inline __mmask16 first_lanes(Index n) {
  return n >= 16 ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << n) - 1U);
}

ALBENCH_AVX512 inline void store_masked(float* out, __m512 value, Index n, bool accumulate) {
  if (n <= 0) return;
  const __mmask16 mask = first_lanes(n);
  if (accumulate) value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, out), value);
  _mm512_mask_storeu_ps(out, mask, value);
}

// Rows x 16 Vectors outputs stay in registers while the chain over the features runs. 8 x 48 is what a
// multiply-add per cycle needs: 3 loads and 8 broadcasts for 24 of them.
template <unsigned Rows, unsigned Vectors, bool Square>
ALBENCH_AVX512 void block(const float* x, const float* panel, Index depth, float* c, Index ldc, Index cols,
                          bool accumulate) {
  __m512 sum[Rows][Vectors];
#pragma GCC unroll 8
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = _mm512_setzero_ps();
  for (Index k = 0; k < depth; ++k) {
    __m512 q[Vectors];
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) q[v] = _mm512_loadu_ps(panel + k * kPanel + 16 * v);
#pragma GCC unroll 8
    for (unsigned r = 0; r < Rows; ++r) {
      const __m512 xv = _mm512_set1_ps(x[r * kRowStride + k]);
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) {
        if (Square) {
          const __m512 difference = _mm512_sub_ps(xv, q[v]);
          sum[r][v] = _mm512_fmadd_ps(difference, difference, sum[r][v]);
        } else {
          sum[r][v] = _mm512_fmadd_ps(xv, q[v], sum[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v)
      store_masked(c + r * ldc + 16 * v, sum[r][v], cols - 16 * static_cast<Index>(v), accumulate);
}

template <unsigned Rows, bool Square>
ALBENCH_AVX512 void rows_of(const float* x, const float* panel, Index depth, float* c, Index ldc, Index cols,
                            bool accumulate) {
  if (cols > 32) {
    block<Rows, 3, Square>(x, panel, depth, c, ldc, cols, accumulate);
  } else if (cols > 16) {
    block<Rows, 2, Square>(x, panel, depth, c, ldc, cols, accumulate);
  } else {
    block<Rows, 1, Square>(x, panel, depth, c, ldc, cols, accumulate);
  }
}

template <bool Square>
ALBENCH_AVX512 void product(const float* x, Index rows, const float* panel, Index depth, float* c, Index ldc,
                            Index cols, bool accumulate) {
  while (rows > 0) {
    Index done = 1;
    if (rows >= 8) {
      rows_of<8, Square>(x, panel, depth, c, ldc, cols, accumulate);
      done = 8;
    } else if (rows >= 4) {
      rows_of<4, Square>(x, panel, depth, c, ldc, cols, accumulate);
      done = 4;
    } else if (rows >= 2) {
      rows_of<2, Square>(x, panel, depth, c, ldc, cols, accumulate);
      done = 2;
    } else {
      rows_of<1, Square>(x, panel, depth, c, ldc, cols, accumulate);
    }
    rows -= done, x += done * kRowStride, c += done * ldc;
  }
}

ALBENCH_AVX512 inline __m512d wide_low(__m512 v) {
  return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}
ALBENCH_AVX512 inline __m512d wide_high(__m512 v) {
  return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
}

ALBENCH_AVX512 inline double add_lanes(__m512d a, __m512d b) {
  const __m512d eight = _mm512_add_pd(a, b);
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

template <bool Weighted>
ALBENCH_AVX512 double gain(const float* s, const float* memo, const double* memo_wide, const double* w,
                           Index n) {
  __m512d a = _mm512_setzero_pd();
  __m512d b = _mm512_setzero_pd();
  for (Index c = 0; c < n; c += 16) {
    const __mmask16 mask = first_lanes(n - c);
    const __mmask8 mask_a = static_cast<__mmask8>(mask);
    const __mmask8 mask_b = static_cast<__mmask8>(mask >> 8);
    const __m512 v = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, s + c), _mm512_maskz_loadu_ps(mask, memo + c));
    __m512d rise_a = _mm512_sub_pd(wide_low(v), _mm512_maskz_loadu_pd(mask_a, memo_wide + c));
    __m512d rise_b = _mm512_sub_pd(wide_high(v), _mm512_maskz_loadu_pd(mask_b, memo_wide + c + 8));
    if (Weighted) {
      rise_a = _mm512_mul_pd(rise_a, _mm512_maskz_loadu_pd(mask_a, w + c));
      rise_b = _mm512_mul_pd(rise_b, _mm512_maskz_loadu_pd(mask_b, w + c + 8));
    }
    a = _mm512_add_pd(a, rise_a);
    b = _mm512_add_pd(b, rise_b);
  }
  return add_lanes(a, b);
}

ALBENCH_AVX512 double facility_gain(const float* s, const float* memo, const double* memo_wide,
                                    const double* w, Index n) {
  return w != nullptr ? gain<true>(s, memo, memo_wide, w, n) : gain<false>(s, memo, memo_wide, w, n);
}

template <bool Weighted>
ALBENCH_AVX512 RowStart start(const float* s, const double* w, Index n) {
  __m512d a = _mm512_setzero_pd();
  __m512d b = _mm512_setzero_pd();
  __m512 largest = _mm512_setzero_ps();
  __m512i magnitude = _mm512_setzero_si512();  // the largest bit pattern without sign: shows NaN and infinity
  const __m512i no_sign = _mm512_set1_epi32(0x7FFFFFFF);
  for (Index c = 0; c < n; c += 16) {
    const __mmask16 mask = first_lanes(n - c);
    const __m512 raw = _mm512_maskz_loadu_ps(mask, s + c);
    magnitude = _mm512_max_epu32(magnitude, _mm512_and_si512(_mm512_castps_si512(raw), no_sign));
    const __m512 v = _mm512_max_ps(raw, _mm512_setzero_ps());
    largest = _mm512_max_ps(largest, v);
    __m512d low = wide_low(v);
    __m512d high = wide_high(v);
    if (Weighted) {
      low = _mm512_mul_pd(low, _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), w + c));
      high = _mm512_mul_pd(high, _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask >> 8), w + c + 8));
    }
    a = _mm512_add_pd(a, low);
    b = _mm512_add_pd(b, high);
  }
  const bool finite = _mm512_reduce_max_epu32(magnitude) < 0x7F800000U;
  return {add_lanes(a, b), _mm512_reduce_max_ps(largest), finite};
}

ALBENCH_AVX512 RowStart facility_start(const float* s, const double* w, Index n) {
  return w != nullptr ? start<true>(s, w, n) : start<false>(s, w, n);
}

template <bool Weighted>
ALBENCH_AVX512 double clamped(const float* s, const float* low, const float* high, const double* w, Index n) {
  __m512d a = _mm512_setzero_pd();
  __m512d b = _mm512_setzero_pd();
  for (Index c = 0; c < n; c += 16) {
    const __mmask16 mask = first_lanes(n - c);
    const __m512 from = _mm512_maskz_loadu_ps(mask, low + c);
    const __m512 v = _mm512_min_ps(_mm512_max_ps(_mm512_maskz_loadu_ps(mask, s + c), from),
                                   _mm512_maskz_loadu_ps(mask, high + c));
    __m512d rise_a = _mm512_sub_pd(wide_low(v), wide_low(from));
    __m512d rise_b = _mm512_sub_pd(wide_high(v), wide_high(from));
    if (Weighted) {
      rise_a = _mm512_mul_pd(rise_a, _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), w + c));
      rise_b = _mm512_mul_pd(rise_b, _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask >> 8), w + c + 8));
    }
    a = _mm512_add_pd(a, rise_a);
    b = _mm512_add_pd(b, rise_b);
  }
  return add_lanes(a, b);
}

ALBENCH_AVX512 double clamped_rise(const float* s, const float* low, const float* high, const double* w,
                                   Index n) {
  return w != nullptr ? clamped<true>(s, low, high, w, n) : clamped<false>(s, low, high, w, n);
}

ALBENCH_AVX512 bool quantise(const float* s, float inverse_unit, std::uint16_t* out, Index n) {
  const __m512 inverse = _mm512_set1_ps(inverse_unit);
  const __m512 slack = _mm512_set1_ps(kQuantumSlack);
  const __m512 most = _mm512_set1_ps(32766.0F);
  const __m512i one = _mm512_set1_epi32(1);
  __mmask16 over = 0;
  for (Index c = 0; c < n; c += 16) {
    const __mmask16 mask = first_lanes(n - c);
    const __m512 positive = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, s + c), _mm512_setzero_ps());
    const __m512 scaled = _mm512_mul_ps(positive, inverse);
    const __m512 raised = _mm512_add_ps(scaled, slack);
    over = static_cast<__mmask16>(over | _mm512_cmp_ps_mask(raised, most, _CMP_NLT_UQ));
    __m512i quantum = _mm512_cvttps_epi32(_mm512_min_ps(raised, most));
    quantum = _mm512_mask_add_epi32(quantum, _mm512_cmp_ps_mask(scaled, _mm512_setzero_ps(), _CMP_GT_OQ),
                                    quantum, one);
    // Narrowed in registers: the instruction that narrows into memory under a mask is microcoded on some
    // processors.
    const __m256i narrow = _mm512_cvtepi32_epi16(quantum);
    if (n - c >= 16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + c), narrow);
    } else {
      _mm256_mask_storeu_epi16(out + c, mask, narrow);
    }
  }
  return over == 0;
}

ALBENCH_AVX512 void quantised_loss(const std::uint16_t* block, const QuantumChange* changes, Index count,
                                   std::int64_t* gains) {
  constexpr Index kRun = 64;  // products below 2^25 each: 32 bits hold the sum
  constexpr Index kAhead = 16;
  for (Index begin = 0; begin < count; begin += kRun) {
    const Index end = begin + kRun < count ? begin + kRun : count;
    __m512i a = _mm512_setzero_si512();
    __m512i b = _mm512_setzero_si512();
    for (Index k = begin; k < end; ++k) {
      if (k + kAhead < count) __builtin_prefetch(block + changes[k + kAhead].column * kLanesOfBlock);
      const __m512i s = _mm512_loadu_si512(block + changes[k].column * kLanesOfBlock);
      const __m512i low = _mm512_set1_epi16(static_cast<std::int16_t>(changes[k].low));
      const __m512i high = _mm512_set1_epi16(static_cast<std::int16_t>(changes[k].high));
      const __m512i rise = _mm512_sub_epi16(_mm512_min_epu16(_mm512_max_epu16(s, low), high), low);
      const __m512i weight = _mm512_set1_epi32(static_cast<std::int32_t>(changes[k].weight));
      const __m512i first = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(rise));
      const __m512i second = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(rise, 1));
      a = _mm512_add_epi32(a, _mm512_mullo_epi32(first, weight));
      b = _mm512_add_epi32(b, _mm512_mullo_epi32(second, weight));
    }
    const __m256i part[4] = {_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1),
                             _mm512_castsi512_si256(b), _mm512_extracti64x4_epi64(b, 1)};
    for (int p = 0; p < 4; ++p) {
      const __m512i before = _mm512_loadu_si512(gains + 8 * p);
      _mm512_storeu_si512(gains + 8 * p, _mm512_sub_epi64(before, _mm512_cvtepu32_epi64(part[p])));
    }
  }
}

// Squares of float32 are exact in double, so fusing them with the addition rounds no differently.
ALBENCH_AVX512 double sum_of_squares(const float* x, Index n) {
  __m512d a = _mm512_setzero_pd();
  __m512d b = _mm512_setzero_pd();
  for (Index k = 0; k < n; k += 16) {
    const __m512 v = _mm512_maskz_loadu_ps(first_lanes(n - k), x + k);
    a = _mm512_fmadd_pd(wide_low(v), wide_low(v), a);
    b = _mm512_fmadd_pd(wide_high(v), wide_high(v), b);
  }
  return add_lanes(a, b);
}

ALBENCH_AVX512 double squared_distance(const float* x, const float* y, Index n) {
  __m512d a = _mm512_setzero_pd();
  __m512d b = _mm512_setzero_pd();
  for (Index k = 0; k < n; k += 16) {
    const __mmask16 mask = first_lanes(n - k);
    const __m512 xv = _mm512_maskz_loadu_ps(mask, x + k);
    const __m512 yv = _mm512_maskz_loadu_ps(mask, y + k);
    const __m512d low = _mm512_sub_pd(wide_low(xv), wide_low(yv));
    const __m512d high = _mm512_sub_pd(wide_high(xv), wide_high(yv));
    a = _mm512_add_pd(a, _mm512_mul_pd(low, low));
    b = _mm512_add_pd(b, _mm512_mul_pd(high, high));
  }
  return add_lanes(a, b);
}

}  // namespace

const KernelTable* avx512_kernels() {
  static const KernelTable table{"avx512",       product<false>,  product<true>, facility_gain,
                                 facility_start, clamped_rise,    quantise,      quantised_loss,
                                 sum_of_squares, squared_distance};
  const bool here = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return here ? &table : nullptr;
}

}  // namespace albench
#else
namespace albench {
const KernelTable* avx512_kernels() {
  return nullptr;
}
}  // namespace albench
#endif
