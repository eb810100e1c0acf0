// Random input for the tests.
#pragma once

#include <cmath>
#include <vector>

#include "albench/features.hpp"
#include "albench/random.hpp"

namespace albench::tests {

inline std::vector<float> gaussian(Index count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& value : out) {
    double sum = -6.0;  // twelve uniforms: near enough
    for (int k = 0; k < 12; ++k) sum += random.uniform();
    value = static_cast<float>(sum);
  }
  return out;
}

inline Features view(const std::vector<float>& values, Index rows, Index cols) {
  Features x;
  x.data = reinterpret_cast<const std::byte*>(values.data());
  x.rows = rows;
  x.cols = cols;
  x.row_stride = cols * 4;
  x.col_stride = 4;
  return x;
}

}  // namespace albench::tests
