// The kernels of blocks of quanta for AVX-512 by hand: in vector types a loss took 4 times as long,
// quantising in plain loops 30 times.
#include "quanta.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define ALBENCH_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

namespace albench {
namespace {

ALBENCH_AVX512 inline __mmask16 first_lanes(Index n) {
  return n >= 16 ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << n) - 1U);
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

// Sixteen similarities in quanta, rounded up; what is above 0 is at least one. NaN is 0.
ALBENCH_AVX512 inline __m128i quanta_of(const float* s, __mmask16 mask, __m512 factor) {
  const __m512 v = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, s), _mm512_setzero_ps());
  // What does not fit 32 bits becomes 2^31, and that 255.
  const __m512i up =
      _mm512_cvt_roundps_epi32(_mm512_mul_ps(v, factor), _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
  const __mmask16 some = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ);
  return _mm512_cvtusepi32_epi8(_mm512_mask_max_epu32(up, some, up, _mm512_set1_epi32(1)));
}

// The quanta of part of a row, and zeros up to a multiple of 16; returns their sum.
ALBENCH_AVX512 inline std::int32_t quantise_row(const float* s, Index cols, __m512 factor, std::uint8_t* to) {
  __m128i sum = _mm_setzero_si128();
  for (Index c = 0; c < cols; c += 16) {
    const __m128i bytes = quanta_of(s + c, first_lanes(cols - c), factor);
    sum = _mm_add_epi64(sum, _mm_sad_epu8(bytes, _mm_setzero_si128()));
    _mm_store_si128(reinterpret_cast<__m128i*>(to + c), bytes);
  }
  return _mm_cvtsi128_si32(sum) + _mm_extract_epi32(sum, 2);
}

ALBENCH_AVX512 void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block,
                             std::int32_t* sums) {
  const __m512 scale = _mm512_set1_ps(factor);
  alignas(64) std::uint8_t strip[kLanesOfBlock * kStripStride];
  std::fill_n(sums, kLanesOfBlock, 0);
  std::memset(strip + rows * kStripStride, 0,
              static_cast<std::size_t>((kLanesOfBlock - rows) * kStripStride));
  for (Index begin = 0; begin < cols; begin += kStripColumns) {
    const Index count = std::min(kStripColumns, cols - begin);
    for (Index r = 0; r < rows; ++r)
      sums[r] += quantise_row(s + r * cols + begin, count, scale, strip + r * kStripStride);
    for (Index c = 0; c < count; c += 16) {
      __m512i column[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        const auto row = [&](int part) {
          return _mm_load_si128(reinterpret_cast<const __m128i*>(strip + (16 * part + i) * kStripStride + c));
        };
        column[i] = _mm512_inserti32x4(
            _mm512_inserti32x4(_mm512_inserti32x4(_mm512_castsi128_si512(row(0)), row(1), 1), row(2), 2),
            row(3), 3);
      }
      transpose(column);
      std::uint8_t* to = block + (begin + c) * kLanesOfBlock;
      if (count - c >= 16) {
#pragma GCC unroll 16
        for (int j = 0; j < 16; ++j) _mm512_storeu_si512(to + j * kLanesOfBlock, column[j]);
      } else {
        alignas(64) std::uint8_t tail[16 * kLanesOfBlock];
#pragma GCC unroll 16
        for (int j = 0; j < 16; ++j) _mm512_store_si512(tail + j * kLanesOfBlock, column[j]);
        std::memcpy(to, tail, static_cast<std::size_t>((count - c) * kLanesOfBlock));
      }
    }
  }
}

ALBENCH_AVX512 inline __m512i rise(const std::uint8_t* block, const QuantumChange& change) {
  const __m512i s = _mm512_loadu_si512(block + change.column * kLanesOfBlock);
  return _mm512_subs_epu8(_mm512_min_epu8(s, _mm512_set1_epi8(static_cast<char>(change.high))),
                          _mm512_set1_epi8(static_cast<char>(change.low)));
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
      auto* to = reinterpret_cast<__m128i*>(gains + 16 * lane + 4 * p);
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

}  // namespace

KernelTable with_avx512_quanta(KernelTable table) {
  table.quantise = quantise;
  table.quantised_loss = quantised_loss;
  return table;
}

}  // namespace albench
#endif
