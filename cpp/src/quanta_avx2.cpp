// Quanta of a block by hand for AVX2: the plain loops take several times as long.
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "quanta.hpp"

#define ALBENCH_AVX2 __attribute__((target("avx2,fma")))

namespace albench {
namespace {

constexpr Index kColumns = 16;

// Eight similarities in quanta, rounded up; what is above 0 is at least one. NaN is 0.
ALBENCH_AVX2 inline __m256i quanta_of(const float* s, __m256 factor) {
  const __m256 v = _mm256_max_ps(_mm256_loadu_ps(s), _mm256_setzero_ps());
  const __m256 scaled = _mm256_min_ps(_mm256_mul_ps(v, factor), _mm256_set1_ps(255.0F));
  const __m256i up = _mm256_cvtps_epi32(_mm256_ceil_ps(scaled));
  const __m256i some = _mm256_castps_si256(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ));
  return _mm256_max_epi32(up, _mm256_and_si256(some, _mm256_set1_epi32(1)));
}

// Bytes of 16 rows to bytes of 16 columns: interleaved with the row eight further, four times.
ALBENCH_AVX2 inline void transpose(const std::uint8_t* rows, std::uint8_t* columns) {
  __m128i a[16];
  __m128i b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm_load_si128(reinterpret_cast<const __m128i*>(rows) + i);
#pragma GCC unroll 4
  for (int stage = 0; stage < 4; ++stage) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
      b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
    }
    std::copy(b, b + 16, a);
  }
  for (int j = 0; j < 16; ++j)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(columns + j * kLanesOfBlock), a[j]);
}

ALBENCH_AVX2 void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block) {
  const __m256 scale = _mm256_set1_ps(factor);
  alignas(32) std::uint8_t quanta[kLanesOfBlock * kColumns] = {};
  std::uint8_t tail[kLanesOfBlock * kColumns];
  for (Index c = 0; c < cols; c += kColumns) {
    const Index count = std::min(kColumns, cols - c);
    for (Index r = 0; r < rows; ++r) {
      const float* from = s + r * cols + c;
      float few[kColumns] = {};
      if (count < kColumns) {
        std::copy_n(from, count, few);
        from = few;
      }
      const __m256i words = _mm256_permute4x64_epi64(
          _mm256_packus_epi32(quanta_of(from, scale), quanta_of(from + 8, scale)), 0xD8);
      _mm_store_si128(reinterpret_cast<__m128i*>(quanta + r * kColumns),
                      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
    std::uint8_t* to = count < kColumns ? tail : block + c * kLanesOfBlock;
    for (Index lane = 0; lane < kLanesOfBlock; lane += kColumns)
      transpose(quanta + lane * kColumns, to + lane);
    if (count < kColumns)
      std::memcpy(block + c * kLanesOfBlock, tail, static_cast<std::size_t>(count * kLanesOfBlock));
  }
}

}  // namespace

KernelTable with_avx2_quanta(KernelTable table) {
  table.quantise = quantise;
  return table;
}

}  // namespace albench
#endif
