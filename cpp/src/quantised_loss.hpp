// The loop over changed columns of a block of quanta, in plain C++ that compilers vectorise well. Each
// instruction set inlines it into a function with its own target attribute.
#pragma once

#include <algorithm>

#include "albench/kernels.hpp"

namespace albench {

#if defined(__GNUC__) || defined(__clang__)
__attribute__((always_inline))
#endif
inline void quantised_loss_body(const std::uint16_t* block, const QuantumChange* changes, Index count,
                                std::int64_t* gains) {
  // Products stay below 2^15 * 2^10: 64 of them fit 32 bits.
  constexpr Index kRun = 64;
  constexpr Index kAhead = 16;
  for (Index begin = 0; begin < count; begin += kRun) {
    std::uint32_t loss[kLanesOfBlock] = {};
    const Index end = std::min(count, begin + kRun);
    for (Index k = begin; k < end; ++k) {
      if (k + kAhead < count) __builtin_prefetch(block + changes[k + kAhead].column * kLanesOfBlock);
      const std::uint16_t* s = block + changes[k].column * kLanesOfBlock;
      const std::uint16_t low = changes[k].low;
      const std::uint16_t high = changes[k].high;
      const std::uint32_t weight = changes[k].weight;
      for (Index r = 0; r < kLanesOfBlock; ++r) {
        const std::uint16_t clamped = std::min(std::max(s[r], low), high);
        loss[r] += static_cast<std::uint32_t>(clamped - low) * weight;
      }
    }
    for (Index r = 0; r < kLanesOfBlock; ++r) gains[r] -= static_cast<std::int64_t>(loss[r]);
  }
}

}  // namespace albench
