// The kernels in plain C++: the reference for the vectorised ones and the path of other processors.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "albench/kernels.hpp"
#include "quanta.hpp"

namespace albench {
namespace {

template <bool Square>
void product(const float* x, Index rows, const float* panel, Index depth, float* c, Index ldc, Index cols,
             bool accumulate) {
  for (Index r = 0; r < rows; ++r) {
    float acc[kPanel] = {};
    for (Index k = 0; k < depth; ++k) {
      const float xv = x[r * kRowStride + k];
      const float* q = panel + k * kPanel;
      for (Index j = 0; j < kPanel; ++j) {
        const float difference = xv - q[j];
        acc[j] += Square ? difference * difference : xv * q[j];
      }
    }
    float* out = c + r * ldc;
    for (Index j = 0; j < cols; ++j) out[j] = accumulate ? out[j] + acc[j] : acc[j];
  }
}

double add_lanes(double* lane) {
  for (Index half = kLanes / 2; half > 0; half /= 2)
    for (Index l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

double facility_gain(const float* s, const float* memo, const double* memo_wide, const double* w, Index n) {
  double lane[kLanes] = {};
  for (Index c = 0; c < n; ++c) {
    const double rise = static_cast<double>(std::max(s[c], memo[c])) - memo_wide[c];
    lane[c % kLanes] += w != nullptr ? w[c] * rise : rise;
  }
  return add_lanes(lane);
}

RowStart facility_start(const float* s, const double* w, Index n) {
  double lane[kLanes] = {};
  float largest = 0.0F;
  bool finite = true;
  for (Index c = 0; c < n; ++c) {
    finite = finite && std::isfinite(s[c]);
    const float positive = std::max(s[c], 0.0F);
    largest = std::max(largest, positive);
    const double wide = static_cast<double>(positive);
    lane[c % kLanes] += w != nullptr ? w[c] * wide : wide;
  }
  return {add_lanes(lane), largest, finite};
}

double clamped_rise(const float* s, const float* low, const float* high, const double* w, Index n) {
  double lane[kLanes] = {};
  for (Index c = 0; c < n; ++c) {
    const float clamped = std::min(std::max(s[c], low[c]), high[c]);
    const double rise = static_cast<double>(clamped) - static_cast<double>(low[c]);
    lane[c % kLanes] += w != nullptr ? w[c] * rise : rise;
  }
  return add_lanes(lane);
}

void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block) {
  quantise_body(s, rows, cols, factor, block);
}

void quantised_loss(const std::uint8_t* block, const QuantumChange* changes, Index count, bool,
                    std::int32_t* gains) {
  quantised_loss_body(block, changes, count, gains);
}

Index above(const float* s, float limit, Index n, std::int32_t* out, Index most) {
  return above_body(s, limit, n, out, most);
}

void scale(float* s, float factor, Index n) {
  for (Index c = 0; c < n; ++c) s[c] *= factor;
}

double sum_of_squares(const float* x, Index n) {
  double lane[kLanes] = {};
  for (Index k = 0; k < n; ++k) lane[k % kLanes] += static_cast<double>(x[k]) * static_cast<double>(x[k]);
  return add_lanes(lane);
}

double squared_distance(const float* x, const float* y, Index n) {
  double lane[kLanes] = {};
  for (Index k = 0; k < n; ++k) {
    const double difference = static_cast<double>(x[k]) - static_cast<double>(y[k]);
    lane[k % kLanes] += difference * difference;
  }
  return add_lanes(lane);
}

}  // namespace

const KernelTable& portable_kernels() {
  static const KernelTable table{"portable",     product<false>, product<true>,  facility_gain,
                                 facility_start, clamped_rise,   quantise,       quantised_loss,
                                 above,          scale,          sum_of_squares, squared_distance};
  return table;
}

}  // namespace albench
