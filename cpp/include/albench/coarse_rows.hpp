// How a row of small integers lies in memory: its numbers, as many as a multiple of kQuad, and what sums of
// their products with raised columns start from, so that the raise (kCoarseZero) falls out of them:
// -kCoarseZero times the sum of the numbers, of all in 32 bits, and for each run of kCoarseRun in two words
// of 16 bits, which may have wrapped around, of the first two of every quad and of the last two.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "albench/kernels.hpp"

namespace albench {

inline Index coarse_row_bytes(Index depth) {
  return depth + kQuad + (depth + kCoarseRun - 1) / kCoarseRun * kQuad;
}

inline std::int32_t coarse_word(const std::int8_t* from) {
  std::int32_t four;
  std::memcpy(&four, from, sizeof four);
  return four;
}
inline std::int32_t start_of_all(const std::int8_t* row, Index depth) {
  return coarse_word(row + depth);
}
// Both words of the run that begins at feature `start`.
inline std::int32_t start_of_run(const std::int8_t* row, Index depth, Index start) {
  return coarse_word(row + depth + kQuad + start / kCoarseRun * kQuad);
}

// Writes what follows the numbers.
inline void write_starts(std::int8_t* row, Index depth) {
  std::int32_t all = 0;
  for (Index start = 0; start < depth; start += kCoarseRun) {
    int sums[2] = {};
    for (Index k = start; k < std::min(depth, start + kCoarseRun); k += kQuad) {
      sums[0] += row[k] + row[k + 1];
      sums[1] += row[k + 2] + row[k + 3];
    }
    const std::uint16_t words[2] = {static_cast<std::uint16_t>(-kCoarseZero * sums[0]),
                                    static_cast<std::uint16_t>(-kCoarseZero * sums[1])};
    std::memcpy(row + depth + kQuad + start / kCoarseRun * kQuad, words, sizeof words);
    all -= kCoarseZero * (sums[0] + sums[1]);
  }
  std::memcpy(row + depth, &all, sizeof all);
}

}  // namespace albench
