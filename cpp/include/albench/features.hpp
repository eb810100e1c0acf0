// Features as the caller stores them: any of four number formats, any strides, in memory or mapped from a
// file.
#pragma once

#include <cstddef>

#include "albench/types.hpp"

namespace albench {

enum class Number { float32, float64, float16, bfloat16 };

// A borrowed matrix (rows, cols); strides in bytes. Rows are converted to float32 as they are used.
struct Features {
  const std::byte* data = nullptr;
  Number number = Number::float32;
  Index rows = 0;
  Index cols = 0;
  Index row_stride = 0;
  Index col_stride = 0;

  // Writes columns [from, to) of a row to out, in float32.
  void load(Index row, Index from, Index to, float* out) const;
};

float half_to_float(std::uint16_t bits);
inline std::size_t bytes_of(Number number) {
  return number == Number::float64 ? 8 : number == Number::float32 ? 4 : 2;
}

}  // namespace albench
