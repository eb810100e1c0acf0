// Blocks of quanta by hand for NEON, which every AArch64 processor has: the plain loops take several times as
// long. Dot products (udot) would not help, since they add up neighbours, and rows lie side by side.
#if defined(__aarch64__)
#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#include "quanta.hpp"

namespace albench {
namespace {

constexpr Index kColumns = 16;

// Four similarities in quanta, rounded up; what is above 0 is at least one. NaN is 0, and what does not fit
// 32 bits is as large as they hold.
inline uint32x4_t quanta_of(const float* s, float32x4_t factor) {
  const float32x4_t v = vld1q_f32(s);
  const uint32x4_t some = vcgtzq_f32(v);
  const uint32x4_t up = vcvtpq_u32_f32(vmulq_f32(v, factor));
  return vandq_u32(vmaxq_u32(up, vdupq_n_u32(1)), some);
}

inline uint8x16_t sixteen(const float* s, float32x4_t factor) {
  const uint16x8_t low = vqmovn_high_u32(vqmovn_u32(quanta_of(s, factor)), quanta_of(s + 4, factor));
  const uint16x8_t high = vqmovn_high_u32(vqmovn_u32(quanta_of(s + 8, factor)), quanta_of(s + 12, factor));
  return vqmovn_high_u16(vqmovn_u16(low), high);
}

// The quanta of part of a row, and zeros up to a multiple of 16; returns their sum.
inline std::int32_t quantise_row(const float* s, Index cols, float factor, std::uint8_t* to) {
  uint32x4_t sum = vdupq_n_u32(0);
  for (Index c = 0; c < cols; c += kColumns) {
    const float* from = s + c;
    float few[kColumns];
    if (cols - c < kColumns) {
      for (Index j = 0; j < kColumns; ++j) few[j] = j < cols - c ? from[j] : 0.0F;
      from = few;
    }
    const uint8x16_t bytes = sixteen(from, vdupq_n_f32(factor));
    sum = vpadalq_u16(sum, vpaddlq_u8(bytes));
    vst1q_u8(to + c, bytes);
  }
  return static_cast<std::int32_t>(vaddvq_u32(sum));
}

// 16 x 16 bytes: interleaved with the row eight further, four times.
inline void transpose(const std::uint8_t* rows, std::uint8_t* columns) {
  uint8x16_t a[16];
  uint8x16_t b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) a[i] = vld1q_u8(rows + i * kStripStride);
#pragma GCC unroll 4
  for (int stage = 0; stage < 4; ++stage) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      b[2 * i] = vzip1q_u8(a[i], a[i + 8]);
      b[2 * i + 1] = vzip2q_u8(a[i], a[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) vst1q_u8(columns + j * kLanesOfBlock, a[j]);
}

void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block, std::int32_t* sums) {
  alignas(64) std::uint8_t strip[kLanesOfBlock * kStripStride];
  std::fill_n(sums, kLanesOfBlock, 0);
  std::memset(strip + rows * kStripStride, 0,
              static_cast<std::size_t>((kLanesOfBlock - rows) * kStripStride));
  for (Index begin = 0; begin < cols; begin += kStripColumns) {
    const Index count = std::min(kStripColumns, cols - begin);
    for (Index r = 0; r < rows; ++r)
      sums[r] += quantise_row(s + r * cols + begin, count, factor, strip + r * kStripStride);
    for (Index c = 0; c < count; c += kColumns) {
      const Index left = count - c;
      std::uint8_t tail[kColumns * kLanesOfBlock];
      std::uint8_t* to = left < kColumns ? tail : block + (begin + c) * kLanesOfBlock;
      for (Index lane = 0; lane < kLanesOfBlock; lane += 16)
        transpose(strip + lane * kStripStride + c, to + lane);
      if (left < kColumns)
        std::memcpy(block + (begin + c) * kLanesOfBlock, tail,
                    static_cast<std::size_t>(left * kLanesOfBlock));
    }
  }
}

// What is lost in 16 rows of a column.
inline uint8x16_t rise(const std::uint8_t* column, const QuantumChange& change) {
  return vqsubq_u8(vminq_u8(vld1q_u8(column), vdupq_n_u8(change.high)), vdupq_n_u8(change.low));
}

inline void take(std::int32_t* gains, uint32x4_t lost) {
  vst1q_s32(gains, vsubq_s32(vld1q_s32(gains), vreinterpretq_s32_u32(lost)));
}

inline void ahead(const std::uint8_t* block, const QuantumChange* changes, Index k, Index count) {
  constexpr Index kAhead = 16;
  if (k + kAhead < count) __builtin_prefetch(block + changes[k + kAhead].column * kLanesOfBlock);
}

// All weights are 1.
void plain_loss(const std::uint8_t* block, const QuantumChange* changes, Index count, std::int32_t* gains) {
  for (Index begin = 0; begin < count; begin += kSummedBytes) {
    const Index end = std::min(count, begin + kSummedBytes);
    uint16x8_t sum[8] = {};
    for (Index k = begin; k < end; ++k) {
      ahead(block, changes, k, count);
      const std::uint8_t* column = block + changes[k].column * kLanesOfBlock;
#pragma GCC unroll 4
      for (int p = 0; p < 4; ++p) {
        const uint8x16_t lost = rise(column + 16 * p, changes[k]);
        sum[2 * p] = vaddw_u8(sum[2 * p], vget_low_u8(lost));
        sum[2 * p + 1] = vaddw_high_u8(sum[2 * p + 1], lost);
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < 8; ++p) {
      take(gains + 8 * p, vmovl_u16(vget_low_u16(sum[p])));
      take(gains + 8 * p + 4, vmovl_high_u16(sum[p]));
    }
  }
}

void weighted_loss(const std::uint8_t* block, const QuantumChange* changes, Index count,
                   std::int32_t* gains) {
  uint32x4_t sum[16] = {};
  for (Index k = 0; k < count; ++k) {
    ahead(block, changes, k, count);
    const std::uint8_t* column = block + changes[k].column * kLanesOfBlock;
    const uint16x8_t weight = vdupq_n_u16(changes[k].weight);
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
      const uint8x16_t lost = rise(column + 16 * p, changes[k]);
      const uint16x8_t low = vmovl_u8(vget_low_u8(lost));
      const uint16x8_t high = vmovl_high_u8(lost);
      sum[4 * p] = vmlal_u16(sum[4 * p], vget_low_u16(low), vget_low_u16(weight));
      sum[4 * p + 1] = vmlal_high_u16(sum[4 * p + 1], low, weight);
      sum[4 * p + 2] = vmlal_u16(sum[4 * p + 2], vget_low_u16(high), vget_low_u16(weight));
      sum[4 * p + 3] = vmlal_high_u16(sum[4 * p + 3], high, weight);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < 16; ++p) take(gains + 4 * p, sum[p]);
}

void quantised_loss(const std::uint8_t* block, const QuantumChange* changes, Index count, bool plain,
                    std::int32_t* gains) {
  (plain ? plain_loss : weighted_loss)(block, changes, count, gains);
}

}  // namespace

KernelTable with_neon_quanta(KernelTable table) {
  table.quantise = quantise;
  table.quantised_loss = quantised_loss;
  return table;
}

}  // namespace albench
#endif
