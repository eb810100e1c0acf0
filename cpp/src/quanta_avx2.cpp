// Blocks of quanta by hand for AVX2: the plain loops take several times as long.
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "quanta.hpp"

#define ALBENCH_AVX2 __attribute__((target("avx2,fma")))

namespace albench {
namespace {

constexpr Index kColumns = 16;  // transposed at a time
constexpr Index kStep = 32;     // similarities of a row quantised at a time

// Eight similarities in quanta, rounded up; what is above 0 is at least one. NaN is 0.
ALBENCH_AVX2 inline __m256i quanta_of(const float* s, __m256 factor) {
  const __m256 v = _mm256_max_ps(_mm256_loadu_ps(s), _mm256_setzero_ps());
  const __m256 scaled = _mm256_min_ps(_mm256_mul_ps(v, factor), _mm256_set1_ps(255.0F));
  const __m256i up = _mm256_cvtps_epi32(_mm256_ceil_ps(scaled));
  const __m256i some = _mm256_castps_si256(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ));
  // Where it is above 0, `some` is -1.
  return _mm256_max_epi32(up, _mm256_abs_epi32(some));
}

// The quanta of part of a row, and zeros up to a multiple of kStep; returns their sum.
ALBENCH_AVX2 inline std::int32_t quantise_row(const float* s, Index cols, __m256 factor, std::uint8_t* to) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  __m256i sum = _mm256_setzero_si256();
  for (Index c = 0; c < cols; c += kStep) {
    const float* from = s + c;
    float few[kStep];
    if (cols - c < kStep) {
      for (Index j = 0; j < kStep; ++j) few[j] = j < cols - c ? from[j] : 0.0F;
      from = few;
    }
    const __m256i low = _mm256_packus_epi32(quanta_of(from, factor), quanta_of(from + 8, factor));
    const __m256i high = _mm256_packus_epi32(quanta_of(from + 16, factor), quanta_of(from + 24, factor));
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
    sum = _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + c), bytes);
  }
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  return _mm_cvtsi128_si32(half) + _mm_extract_epi32(half, 2);
}

// Two 16 x 16 transpositions of bytes side by side, of 32 rows: interleaved with the row eight further, four
// times.
ALBENCH_AVX2 inline void transpose(const std::uint8_t* rows, std::uint8_t* columns) {
  __m256i a[16];
  __m256i b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const auto* row = reinterpret_cast<const __m128i*>(rows + i * kStripStride);
    const auto* second = reinterpret_cast<const __m128i*>(rows + (16 + i) * kStripStride);
    a[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128(row)), _mm_load_si128(second), 1);
  }
#pragma GCC unroll 4
  for (int stage = 0; stage < 4; ++stage) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = _mm256_unpacklo_epi8(a[i], a[i + 8]);
      b[2 * i + 1] = _mm256_unpackhi_epi8(a[i], a[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(columns + j * kLanesOfBlock), a[j]);
}

ALBENCH_AVX2 void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block,
                           std::int32_t* sums) {
  const __m256 scale = _mm256_set1_ps(factor);
  alignas(64) std::uint8_t strip[kLanesOfBlock * kStripStride];
  std::fill_n(sums, kLanesOfBlock, 0);
  std::memset(strip + rows * kStripStride, 0,
              static_cast<std::size_t>((kLanesOfBlock - rows) * kStripStride));
  for (Index begin = 0; begin < cols; begin += kStripColumns) {
    const Index count = std::min(kStripColumns, cols - begin);
    for (Index r = 0; r < rows; ++r)
      sums[r] += quantise_row(s + r * cols + begin, count, scale, strip + r * kStripStride);
    for (Index c = 0; c < count; c += kColumns) {
      const Index left = count - c;
      alignas(64) std::uint8_t tail[kColumns * kLanesOfBlock];
      std::uint8_t* to = left < kColumns ? tail : block + (begin + c) * kLanesOfBlock;
      for (Index lane = 0; lane < kLanesOfBlock; lane += 32)
        transpose(strip + lane * kStripStride + c, to + lane);
      if (left < kColumns)
        std::memcpy(block + (begin + c) * kLanesOfBlock, tail,
                    static_cast<std::size_t>(left * kLanesOfBlock));
    }
  }
}

// What is lost in 32 rows of a column.
ALBENCH_AVX2 inline __m256i rise(const std::uint8_t* column, const QuantumChange& change) {
  const __m256i s = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(column));
  return _mm256_subs_epu8(_mm256_min_epu8(s, _mm256_set1_epi8(static_cast<char>(change.high))),
                          _mm256_set1_epi8(static_cast<char>(change.low)));
}

ALBENCH_AVX2 inline void take(std::int32_t* gains, __m256i lost) {
  auto* to = reinterpret_cast<__m256i*>(gains);
  _mm256_storeu_si256(to, _mm256_sub_epi32(_mm256_loadu_si256(to), lost));
}

ALBENCH_AVX2 inline void ahead(const std::uint8_t* block, const QuantumChange* changes, Index k,
                               Index count) {
  constexpr Index kAhead = 16;
  if (k + kAhead < count)
    _mm_prefetch(reinterpret_cast<const char*>(block + changes[k + kAhead].column * kLanesOfBlock),
                 _MM_HINT_T0);
}

// All weights are 1. Of words of two rows the upper one is summed apart and then taken from the sum of both.
ALBENCH_AVX2 void plain_loss(const std::uint8_t* block, const QuantumChange* changes, Index count,
                             std::int32_t* gains) {
  for (Index begin = 0; begin < count; begin += kSummedBytes) {
    const Index end = std::min(count, begin + kSummedBytes);
    __m256i both[2] = {};
    __m256i upper[2] = {};
    for (Index k = begin; k < end; ++k) {
      ahead(block, changes, k, count);
      const std::uint8_t* column = block + changes[k].column * kLanesOfBlock;
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i lost = rise(column + 32 * h, changes[k]);
        both[h] = _mm256_add_epi16(both[h], lost);
        upper[h] = _mm256_add_epi16(upper[h], _mm256_srli_epi16(lost, 8));
      }
    }
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m256i lower = _mm256_sub_epi16(both[h], _mm256_slli_epi16(upper[h], 8));
      const __m256i first = _mm256_unpacklo_epi16(lower, upper[h]);   // rows 0 to 7 and 16 to 23
      const __m256i second = _mm256_unpackhi_epi16(lower, upper[h]);  // 8 to 15 and 24 to 31
      std::int32_t* to = gains + 32 * h;
      take(to, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(first)));
      take(to + 8, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(second)));
      take(to + 16, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(first, 1)));
      take(to + 24, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(second, 1)));
    }
  }
}

// Changes go in pairs, whose bytes are interleaved so that one instruction multiplies and adds both. That
// leaves rows 4 p .. 4 p + 3 and 16 + 4 p .. of 32 in sum[p].
ALBENCH_AVX2 void weighted_loss(const std::uint8_t* block, const QuantumChange* changes, Index count,
                                std::int32_t* gains) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i sum[2][4] = {};
  for (Index k = 0; k < count; k += 2) {
    ahead(block, changes, k, count);
    ahead(block, changes, k + 1, count);
    const bool pair = k + 1 < count;
    const QuantumChange& other = changes[pair ? k + 1 : k];
    const std::uint32_t second = pair ? other.weight : 0U;
    const __m256i w = _mm256_set1_epi32(static_cast<std::int32_t>(changes[k].weight | second << 16U));
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m256i a = rise(block + changes[k].column * kLanesOfBlock + 32 * h, changes[k]);
      const __m256i b = rise(block + other.column * kLanesOfBlock + 32 * h, other);
      const __m256i low = _mm256_unpacklo_epi8(a, b);
      const __m256i high = _mm256_unpackhi_epi8(a, b);
      sum[h][0] = _mm256_add_epi32(sum[h][0], _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), w));
      sum[h][1] = _mm256_add_epi32(sum[h][1], _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), w));
      sum[h][2] = _mm256_add_epi32(sum[h][2], _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), w));
      sum[h][3] = _mm256_add_epi32(sum[h][3], _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), w));
    }
  }
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    std::int32_t* to = gains + 32 * h;
    take(to, _mm256_permute2x128_si256(sum[h][0], sum[h][1], 0x20));
    take(to + 8, _mm256_permute2x128_si256(sum[h][2], sum[h][3], 0x20));
    take(to + 16, _mm256_permute2x128_si256(sum[h][0], sum[h][1], 0x31));
    take(to + 24, _mm256_permute2x128_si256(sum[h][2], sum[h][3], 0x31));
  }
}

ALBENCH_AVX2 void quantised_loss(const std::uint8_t* block, const QuantumChange* changes, Index count,
                                 bool plain, std::int32_t* gains) {
  (plain ? plain_loss : weighted_loss)(block, changes, count, gains);
}

}  // namespace

KernelTable with_avx2_quanta(KernelTable table) {
  table.quantise = quantise;
  table.quantised_loss = quantised_loss;
  return table;
}

}  // namespace albench
#endif
