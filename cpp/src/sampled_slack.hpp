// How close bounds are to gains, told from some rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "albench/gain_bounds.hpp"
#include "albench/kernels.hpp"

namespace albench {

// Mean of bound(row, s, gain_of) less gain over some rows from `first` on, in standard deviations of the
// gain; s are the row's similarities, gain_of(s) what similarities gain from the memo, without what is
// modular.
template <class Bound>
double sampled_slack(const FacilityState& state, Index first, const Bound& bound) {
  constexpr Index kSampleRows = 64;
  const Index q = state.source.cols();
  const Index n = state.source.rows() - first;
  const Index count = std::min(n, kSampleRows);
  const std::vector<double> memo(state.memo.begin(), state.memo.end());
  std::vector<float> s(static_cast<std::size_t>(q));
  TileScratch scratch;
  const auto gain_of = [&](const float* of) {
    return kernels().facility_gain(of, state.memo.data(), memo.data(),
                                   state.weights.empty() ? nullptr : state.weights.data(), q);
  };
  double slack = 0.0;
  double sum = 0.0;
  double squares = 0.0;
  for (Index r = 0; r < count; ++r) {
    const Index row = first + r * n / count;
    state.source.read(&row, 1, s.data(), scratch);
    const double gain = gain_of(s.data());
    slack += bound(row, s.data(), gain_of) - gain;
    sum += gain;
    squares += gain * gain;
  }
  const auto k = static_cast<double>(count);
  return slack / k / std::sqrt(std::max(0.0, squares / k - sum / k * (sum / k)));
}

}  // namespace albench
