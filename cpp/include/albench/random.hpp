// A small generator with the same stream on every machine (the standard's distributions are not portable).
#pragma once

#include <cstdint>

#include "albench/types.hpp"

namespace albench {

// xoshiro256** by Blackman and Vigna (2018), seeded through splitmix64 as its authors advise.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9E3779B97F4A7C15U;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
      z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
      word = z ^ (z >> 31U);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5U, 7) * 9U;
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // Uniform on 0..n-1 without bias: draws from the incomplete last round of the range are thrown away.
  Index below(Index n) {
    const auto bound = static_cast<std::uint64_t>(n);
    const std::uint64_t reject = (0U - bound) % bound;  // 2^64 mod n
    std::uint64_t draw = next();
    while (draw < reject) draw = next();
    return static_cast<Index>(draw % bound);
  }

  // Uniform on [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11U) * 0x1p-53; }

 private:
  static std::uint64_t rotate(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  std::uint64_t state_[4] = {};
};

}  // namespace albench
