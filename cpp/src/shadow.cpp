#include "albench/shadow.hpp"

#include <algorithm>
#include <cmath>

#include "albench/kernels.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace albench {
namespace {

constexpr double kQuanta = 32700.0;  // below 2^15 - 1 by more than any rounding
constexpr double kWeightQuanta = 1023.0;

}  // namespace

Shadow::Shadow(Index rows, Index cols, double largest, const std::vector<double>& weights)
    : rows_(rows),
      cols_(cols),
      stride_(padded(cols)),
      values_(new std::uint16_t[static_cast<std::size_t>(rows * padded(cols))]),
      stored_(static_cast<std::size_t>(rows), 0),
      memo_(static_cast<std::size_t>(padded(cols)), 0),
      weights_(static_cast<std::size_t>(padded(cols)), 0) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // Rows are read scattered; huge pages save most of the address translations. Best effort.
  const auto address = reinterpret_cast<std::uintptr_t>(values_.get());
  const std::uintptr_t begin = (address + 4095) / 4096 * 4096;
  const std::uintptr_t end = (address + static_cast<std::size_t>(rows * stride_) * 2) / 4096 * 4096;
  if (end > begin) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
  const double quantum = std::max(largest, 1e-30) / kQuanta;
  inverse_unit_ = static_cast<float>(1.0 / quantum);
  double weight_quantum = 1.0;
  if (!weights.empty()) {
    const double heaviest = *std::max_element(weights.begin(), weights.end());
    const bool whole =
        std::all_of(weights.begin(), weights.end(), [](double w) { return w == std::floor(w); });
    if (!whole || heaviest > kWeightQuanta) weight_quantum = std::max(heaviest, 1e-300) / kWeightQuanta;
  }
  for (Index c = 0; c < cols; ++c) {
    const double quanta =
        weights.empty() ? 1.0 : std::ceil(weights[static_cast<std::size_t>(c)] / weight_quantum);
    weights_[static_cast<std::size_t>(c)] = static_cast<std::int16_t>(quanta);
  }
  // The factor covers the rounding of the unit to float and of the division above.
  unit_ = quantum * weight_quantum * (1.0 + 1e-6);
}

void Shadow::store(Index row, const float* s) {
  std::uint16_t* to = values_.get() + row * stride_;
  std::fill(to + cols_, to + stride_, std::uint16_t{0});
  stored_[static_cast<std::size_t>(row)] = kernels().quantise(s, inverse_unit_, to, cols_) ? 1 : 0;
}

void Shadow::clear_memo() {
  std::fill(memo_.begin(), memo_.end(), std::uint16_t{0});
}

void Shadow::raise_memo(Index column, float value) {
  const float scaled = std::min(value * inverse_unit_ - kQuantumSlack, 32766.0F);
  memo_[static_cast<std::size_t>(column)] = static_cast<std::uint16_t>(std::max(scaled, 0.0F));
}

double Shadow::rise(Index row) const {
  const std::int64_t quanta =
      kernels().quantised_rise(values_.get() + row * stride_, memo_.data(), weights_.data(), stride_);
  return static_cast<double>(quanta) * unit_;
}

void Shadow::prefetch(Index row) const {
  const std::uint16_t* at = values_.get() + row * stride_;
  for (Index c = 0; c < stride_; c += 32) __builtin_prefetch(at + c);
}

}  // namespace albench
