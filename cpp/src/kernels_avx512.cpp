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

// Four 16 x 16 transpositions of bytes side by side: in[i] holds rows i, 16 + i, 32 + i, 48 + i of 16 columns
// each, out[j] column j of 64 rows. Every stage rotates the bits of a byte's address by one.
ALBENCH_AVX512 inline void transpose(__m512i* v) {
#pragma GCC unroll 4
  for (int stage = 0; stage < 4; ++stage) {
    __m512i next[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = _mm512_unpacklo_epi8(v[i], v[i + 8]);
      next[2 * i + 1] = _mm512_unpackhi_epi8(v[i], v[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) v[i] = next[i];
  }
}

ALBENCH_AVX512 void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block) {
  const __m512 scale = _mm512_set1_ps(factor);
  const __m512i one = _mm512_set1_epi32(1);
  alignas(64) std::uint8_t quanta[16 * kLanesOfBlock] = {};
  for (Index c = 0; c < cols; c += 16) {
    const __mmask16 mask = first_lanes(cols - c);
    for (Index r = 0; r < rows; ++r) {
      const __m512 v = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, s + r * cols + c), _mm512_setzero_ps());
      // What does not fit 32 bits becomes 2^31, and that 255.
      __m512i quantum =
          _mm512_cvt_roundps_epi32(_mm512_mul_ps(v, scale), _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
      quantum = _mm512_mask_max_epu32(quantum, _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ),
                                      quantum, one);
      _mm_store_si128(reinterpret_cast<__m128i*>(quanta + r % 16 * kLanesOfBlock + r / 16 * 16),
                      _mm512_cvtusepi32_epi8(quantum));
    }
    __m512i column[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) column[i] = _mm512_load_si512(quanta + i * kLanesOfBlock);
    transpose(column);
    if (cols - c >= 16) {
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) _mm512_storeu_si512(block + (c + j) * kLanesOfBlock, column[j]);
    } else {
      alignas(64) std::uint8_t tail[16 * kLanesOfBlock];
#pragma GCC unroll 16
      for (int j = 0; j < 16; ++j) _mm512_store_si512(tail + j * kLanesOfBlock, column[j]);
      for (Index j = 0; c + j < cols; ++j)
        _mm512_storeu_si512(block + (c + j) * kLanesOfBlock, _mm512_load_si512(tail + j * kLanesOfBlock));
    }
  }
}

ALBENCH_AVX512 inline __m512i rise(const std::uint8_t* block, const QuantumChange& change) {
  const __m512i s = _mm512_loadu_si512(block + change.column * kLanesOfBlock);
  const __m512i low = _mm512_set1_epi8(static_cast<char>(change.low));
  const __m512i high = _mm512_set1_epi8(static_cast<char>(change.high));
  return _mm512_sub_epi8(_mm512_min_epu8(_mm512_max_epu8(s, low), high), low);
}

// Changes go in pairs, whose bytes are interleaved so that one instruction multiplies and adds both. That
// leaves rows 16 L + 4 p .. + 3 in lane L of sum[p], four lanes of four.
template <bool Plain>
ALBENCH_AVX512 void loss(const std::uint8_t* block, const QuantumChange* changes, Index count,
                         std::int32_t* gains) {
  constexpr Index kRun = 256;  // 16 bits hold the sum of as many bytes
  constexpr Index kAhead = 16;
  const __m512i zero = _mm512_setzero_si512();
  __m512i sum[4] = {zero, zero, zero, zero};
  for (Index begin = 0; begin < count; begin += kRun) {
    const Index end = begin + kRun < count ? begin + kRun : count;
    __m512i short_low = zero;
    __m512i short_high = zero;
    for (Index k = begin; k < end; k += 2) {
      if (k + kAhead + 1 < count) {
        __builtin_prefetch(block + changes[k + kAhead].column * kLanesOfBlock);
        __builtin_prefetch(block + changes[k + kAhead + 1].column * kLanesOfBlock);
      }
      const bool pair = k + 1 < end;
      const __m512i a = rise(block, changes[k]);
      const __m512i b = pair ? rise(block, changes[k + 1]) : zero;
      const __m512i low = _mm512_unpacklo_epi8(a, b);
      const __m512i high = _mm512_unpackhi_epi8(a, b);
      if (Plain) {
        const __m512i ones = _mm512_set1_epi8(1);
        short_low = _mm512_add_epi16(short_low, _mm512_maddubs_epi16(low, ones));
        short_high = _mm512_add_epi16(short_high, _mm512_maddubs_epi16(high, ones));
      } else {
        const std::uint32_t second = pair ? changes[k + 1].weight : 0U;
        const __m512i w = _mm512_set1_epi32(static_cast<std::int32_t>(changes[k].weight | second << 16U));
        sum[0] = _mm512_add_epi32(sum[0], _mm512_madd_epi16(_mm512_unpacklo_epi8(low, zero), w));
        sum[1] = _mm512_add_epi32(sum[1], _mm512_madd_epi16(_mm512_unpackhi_epi8(low, zero), w));
        sum[2] = _mm512_add_epi32(sum[2], _mm512_madd_epi16(_mm512_unpacklo_epi8(high, zero), w));
        sum[3] = _mm512_add_epi32(sum[3], _mm512_madd_epi16(_mm512_unpackhi_epi8(high, zero), w));
      }
    }
    if (Plain) {
      sum[0] = _mm512_add_epi32(sum[0], _mm512_unpacklo_epi16(short_low, zero));
      sum[1] = _mm512_add_epi32(sum[1], _mm512_unpackhi_epi16(short_low, zero));
      sum[2] = _mm512_add_epi32(sum[2], _mm512_unpacklo_epi16(short_high, zero));
      sum[3] = _mm512_add_epi32(sum[3], _mm512_unpackhi_epi16(short_high, zero));
    }
  }
  alignas(64) std::int32_t part[kLanesOfBlock];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) _mm512_store_si512(part + 16 * p, sum[p]);
  for (Index lane = 0; lane < 4; ++lane)
    for (Index p = 0; p < 4; ++p) {
      __m128i* to = reinterpret_cast<__m128i*>(gains + 16 * lane + 4 * p);
      const __m128i lost = _mm_load_si128(reinterpret_cast<const __m128i*>(part + 16 * p + 4 * lane));
      _mm_storeu_si128(to, _mm_sub_epi32(_mm_loadu_si128(to), lost));
    }
}

ALBENCH_AVX512 void quantised_loss(const std::uint8_t* block, const QuantumChange* changes, Index count,
                                   bool plain, std::int32_t* gains) {
  if (plain) {
    loss<true>(block, changes, count, gains);
  } else {
    loss<false>(block, changes, count, gains);
  }
}

ALBENCH_AVX512 Index above(const float* s, float limit, Index n, std::int32_t* out, Index most) {
  const __m512 bar = _mm512_set1_ps(limit);
  Index found = 0;
  for (Index c = 0; c < n; c += 16) {
    const __mmask16 mask = first_lanes(n - c);
    unsigned here = _mm512_mask_cmp_ps_mask(mask, _mm512_maskz_loadu_ps(mask, s + c), bar, _CMP_GT_OQ);
    for (; here != 0; here &= here - 1) {
      if (found == most) return found;
      out[found++] = static_cast<std::int32_t>(c) + __builtin_ctz(here);
    }
  }
  return found;
}

ALBENCH_AVX512 void scale(float* s, float factor, Index n) {
  const __m512 by = _mm512_set1_ps(factor);
  for (Index c = 0; c < n; c += 16) {
    const __mmask16 mask = first_lanes(n - c);
    _mm512_mask_storeu_ps(s + c, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, s + c), by));
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
  static const KernelTable table{"avx512",       product<false>, product<true>,  facility_gain,
                                 facility_start, clamped_rise,   quantise,       quantised_loss,
                                 above,          scale,          sum_of_squares, squared_distance};
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
