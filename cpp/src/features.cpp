#include "albench/features.hpp"

#include <cstring>

#include "albench/kernels.hpp"

namespace albench {
namespace {

template <class T>
T read(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

float bits_to_float(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float convert(const std::byte* at, Number number) {
  switch (number) {
    case Number::float32:
      return read<float>(at);
    case Number::float64:
      return static_cast<float>(read<double>(at));
    case Number::float16:
      return half_to_float(read<std::uint16_t>(at));
    case Number::bfloat16:
      return bits_to_float(static_cast<std::uint32_t>(read<std::uint16_t>(at)) << 16U);
  }
  return 0.0F;
}

}  // namespace

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
  const std::uint32_t rest = bits & 0x7FFFU;
  if (rest >= 0x7C00U) {  // infinity, and NaN that is quiet, as processors make it
    const std::uint32_t quiet = rest > 0x7C00U ? 0x400000U : 0U;
    return bits_to_float(sign | 0x7F800000U | quiet | ((rest & 0x3FFU) << 13U));
  }
  if (rest >= 0x0400U) return bits_to_float(sign | ((rest << 13U) + (112U << 23U)));  // normal
  // Subnormal: rest * 2^-24, which a float32 holds exactly.
  const float magnitude = static_cast<float>(rest) * bits_to_float(103U << 23U);
  return sign != 0 ? -magnitude : magnitude;
}

void Features::load(Index row, Index from, Index to, float* out) const {
  const std::byte* at = data + row * row_stride + from * col_stride;
  const auto count = static_cast<std::size_t>(to - from);
  if (number == Number::float32 && col_stride == static_cast<Index>(sizeof(float))) {
    std::memcpy(out, at, count * sizeof(float));
    return;
  }
  // The switch over the format is hoisted for the common contiguous case, so that the loops vectorise.
  if (number == Number::float64 && col_stride == static_cast<Index>(sizeof(double))) {
    for (std::size_t k = 0; k < count; ++k) out[k] = static_cast<float>(read<double>(at + 8 * k));
    return;
  }
  if (number == Number::float16 && col_stride == 2) {
    kernels().widen(at, static_cast<Index>(count), out);
    return;
  }
  if (number == Number::bfloat16 && col_stride == 2) {
    for (std::size_t k = 0; k < count; ++k)
      out[k] = bits_to_float(static_cast<std::uint32_t>(read<std::uint16_t>(at + 2 * k)) << 16U);
    return;
  }
  for (std::size_t k = 0; k < count; ++k, at += col_stride) out[k] = convert(at, number);
}

}  // namespace albench
