#include "albench/shadow.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace albench {
namespace {

constexpr double kQuanta = 32700.0;  // below 2^15 - 1 by more than any rounding
constexpr double kWeightQuanta = 1023.0;
constexpr Index kBlocksPerTask = 64;
constexpr Index kFewChanges = 64;
constexpr Index kBlocksAhead = 2;

}  // namespace

Shadow::Shadow(Index rows, Index cols, double largest, const std::vector<double>& weights,
               const double* modular)
    : rows_(rows),
      cols_(cols),
      blocks_((rows + kLanesOfBlock - 1) / kLanesOfBlock),
      modular_(modular),
      values_(new std::uint16_t[static_cast<std::size_t>(blocks_ * cols * kLanesOfBlock)]),
      weights_(static_cast<std::size_t>(cols), 1),
      start_(static_cast<std::size_t>(blocks_ * kLanesOfBlock), 0),
      bounds_(static_cast<std::size_t>(rows)) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // Changed columns lie far apart; huge pages save most of the address translations. Best effort.
  constexpr std::size_t kPage = 4096;
  char* begin = reinterpret_cast<char*>(values_.get());
  const std::size_t size = static_cast<std::size_t>(blocks_ * cols * kLanesOfBlock) * sizeof(std::uint16_t);
  const std::size_t skip = (kPage - reinterpret_cast<std::uintptr_t>(begin) % kPage) % kPage;
  if (size > skip + kPage) (void)madvise(begin + skip, (size - skip) / kPage * kPage, MADV_HUGEPAGE);
#endif
  const double quantum = std::max(largest, 1e-30) / kQuanta;
  inverse_unit_ = static_cast<float>(1.0 / quantum);
  double weight_quantum = 1.0;
  if (!weights.empty()) {
    const double heaviest = *std::max_element(weights.begin(), weights.end());
    const bool whole =
        std::all_of(weights.begin(), weights.end(), [](double w) { return w == std::floor(w); });
    if (!whole || heaviest > kWeightQuanta) weight_quantum = std::max(heaviest, 1e-300) / kWeightQuanta;
    for (std::size_t c = 0; c < weights.size(); ++c)
      weights_[c] = static_cast<std::uint32_t>(std::min(std::ceil(weights[c] / weight_quantum), 1024.0));
  }
  // The factor covers the rounding of the unit to float and of the divisions above.
  unit_ = quantum * weight_quantum * (1.0 + 1e-6);
  for (Index c = 0; c < cols; ++c)
    everything_.push_back({static_cast<std::int32_t>(c), 0, 32767, weights_[static_cast<std::size_t>(c)]});
}

void Shadow::store(Index first, Index count, const float* s) {
  std::vector<std::uint16_t> quanta(static_cast<std::size_t>(kLanesOfBlock * cols_), 0);
  for (Index begin = 0; begin < count; begin += kLanesOfBlock) {
    const Index block = (first + begin) / kLanesOfBlock;
    const Index in_block = std::min(kLanesOfBlock, count - begin);
    std::uint16_t* to = values_.get() + block * cols_ * kLanesOfBlock;
    std::int64_t* gains = start_.data() + block * kLanesOfBlock;
    bool fits[kLanesOfBlock] = {};
    for (Index r = 0; r < in_block; ++r)
      fits[r] = kernels().quantise(s + (begin + r) * cols_, inverse_unit_, quanta.data() + r * cols_, cols_);
    for (Index c = 0; c < cols_; ++c)
      for (Index r = 0; r < kLanesOfBlock; ++r)
        to[c * kLanesOfBlock + r] = quanta[static_cast<std::size_t>(r * cols_ + c)];
    std::fill(gains, gains + kLanesOfBlock, std::int64_t{0});
    kernels().quantised_loss(to, everything_.data(), cols_, gains);
    for (Index r = 0; r < kLanesOfBlock; ++r) gains[r] = -gains[r];
    // A row that does not fit is never ruled out.
    for (Index r = 0; r < in_block; ++r)
      if (!fits[r]) gains[r] = std::numeric_limits<std::int64_t>::max() / 2;
  }
}

void Shadow::refresh(Index block) {
  const Index end = std::min(rows_, (block + 1) * kLanesOfBlock);
  for (Index row = block * kLanesOfBlock; row < end; ++row) {
    const auto i = static_cast<std::size_t>(row);
    bounds_[i] = modular_[i] + static_cast<double>(gains_[i]) * unit_;
  }
}

void Shadow::reset() {
  changes_.clear();
  gains_ = start_;
  for (Index block = 0; block < blocks_; ++block) refresh(block);
}

std::uint16_t Shadow::memo_quanta(float value) const {
  const float scaled = std::min(value * inverse_unit_ - kQuantumSlack, 32766.0F);
  return static_cast<std::uint16_t>(std::max(scaled, 0.0F));
}

void Shadow::raise(Index column, float from, float to) {
  const std::uint16_t low = memo_quanta(from);
  const std::uint16_t high = memo_quanta(to);
  if (high > low)
    changes_.push_back(
        {static_cast<std::int32_t>(column), low, high, weights_[static_cast<std::size_t>(column)]});
}

void Shadow::settle(ThreadPool& pool) {
  if (changes_.empty()) return;
  const auto count = static_cast<Index>(changes_.size());
  pool.run((blocks_ + kBlocksPerTask - 1) / kBlocksPerTask, [&](Index task, int) {
    for (Index block = task * kBlocksPerTask; block < std::min(blocks_, (task + 1) * kBlocksPerTask);
         ++block) {
      // Where few columns change, their lines lie far apart: ask for those of the blocks to come.
      if (count <= kFewChanges && block + kBlocksAhead < blocks_)
        for (const QuantumChange& change : changes_)
          __builtin_prefetch(values_.get() +
                             ((block + kBlocksAhead) * cols_ + change.column) * kLanesOfBlock);
      kernels().quantised_loss(values_.get() + block * cols_ * kLanesOfBlock, changes_.data(), count,
                               gains_.data() + block * kLanesOfBlock);
      refresh(block);
    }
  });
  changes_.clear();
}

}  // namespace albench
