// The loops over blocks of quanta in plain C++ that compilers vectorise well. Each instruction set inlines
// them into functions with its own target attribute.
#pragma once

#include <algorithm>
#include <cmath>

#include "albench/kernels.hpp"

#if defined(__GNUC__) || defined(__clang__)
#define ALBENCH_INLINE __attribute__((always_inline)) inline
#else
#define ALBENCH_INLINE inline
#endif

namespace albench {

ALBENCH_INLINE void quantise_body(const float* s, Index rows, Index cols, float factor, std::uint8_t* block) {
  constexpr Index kRun = 64;  // columns that pass through a buffer in the first-level cache
  std::uint8_t quanta[kLanesOfBlock * kRun] = {};
  for (Index begin = 0; begin < cols; begin += kRun) {
    const Index count = std::min(kRun, cols - begin);
    for (Index r = 0; r < rows; ++r) {
      const float* from = s + r * cols + begin;
      std::uint8_t* to = quanta + r * kRun;
      for (Index c = 0; c < count; ++c) {
        const float scaled = std::min(std::max(0.0F, from[c]) * factor, 255.0F);
        const int whole = static_cast<int>(scaled);
        const int up = whole + (static_cast<float>(whole) < scaled ? 1 : 0);
        to[c] = static_cast<std::uint8_t>(std::max(up, from[c] > 0.0F ? 1 : 0));
      }
    }
    for (Index c = 0; c < count; ++c)
      for (Index r = 0; r < kLanesOfBlock; ++r) block[(begin + c) * kLanesOfBlock + r] = quanta[r * kRun + c];
  }
}

ALBENCH_INLINE void quantised_loss_body(const std::uint8_t* block, const QuantumChange* changes, Index count,
                                        std::int32_t* gains) {
  constexpr Index kAhead = 16;
  for (Index k = 0; k < count; ++k) {
    if (k + kAhead < count) __builtin_prefetch(block + changes[k + kAhead].column * kLanesOfBlock);
    const std::uint8_t* s = block + changes[k].column * kLanesOfBlock;
    const std::uint8_t low = changes[k].low;
    const std::uint8_t high = changes[k].high;
    const std::int32_t weight = changes[k].weight;
    for (Index r = 0; r < kLanesOfBlock; ++r) {
      const std::uint8_t clamped = std::min(std::max(s[r], low), high);
      gains[r] -= static_cast<std::int32_t>(clamped - low) * weight;
    }
  }
}

ALBENCH_INLINE Index above_body(const float* s, float limit, Index n, std::int32_t* out, Index most) {
  constexpr Index kRun = 32;
  Index found = 0;
  for (Index begin = 0; begin < n; begin += kRun) {
    const Index end = std::min(n, begin + kRun);
    int any = 0;
    for (Index c = begin; c < end; ++c) any |= s[c] > limit ? 1 : 0;
    if (any == 0) continue;
    for (Index c = begin; c < end; ++c) {
      if (!(s[c] > limit)) continue;
      if (found == most) return found;
      out[found++] = static_cast<std::int32_t>(c);
    }
  }
  return found;
}

}  // namespace albench
