#include "albench/quantised_bounds.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace albench {
namespace {

constexpr double kQuanta = 255.0;
constexpr double kWeightQuanta = 1023.0;
constexpr double kRounding = 0x1p-20;  // more than a product of two float32 that were rounded themselves
constexpr double kSlack = 1.0 + 1e-6;  // more than the rounding of units and of sums in double
constexpr Index kMostExcess = 8;       // similarities of a row that are kept apart one by one
constexpr Index kBlocksPerTask = 32;
constexpr Index kFewChanges = 64;
constexpr Index kFewLines = 16384;  // some tens of microseconds: not worth waking a thread for
constexpr Index kBlocksAhead = 2;
constexpr Index kSampleRows = 64;

float sampled_limit(const Source& source) {
  const Index q = source.cols();
  const Index rows = std::min(source.rows(), kSampleRows);
  std::vector<float> sample(static_cast<std::size_t>(rows * q));
  TileScratch scratch;
  for (Index r = 0; r < rows; ++r) {
    const Index row = r * source.rows() / rows;
    source.read(&row, 1, sample.data() + r * q, scratch);
  }
  return QuantisedBounds::choose_limit(sample);
}

}  // namespace

QuantisedBounds::QuantisedBounds(const FacilityState& state, Index rows)
    : QuantisedBounds(state, rows, sampled_limit(state.source)) {}

QuantisedBounds::QuantisedBounds(const FacilityState& state, Index rows, float limit)
    : state_(state),
      cols_(state.source.cols()),
      blocks_((rows + kLanesOfBlock - 1) / kLanesOfBlock),
      limit_(std::max(limit, 1e-30F)),
      values_(static_cast<std::size_t>(blocks_ * cols_ * kLanesOfBlock)),
      weights_(static_cast<std::size_t>(cols_), 1),
      start_(static_cast<std::size_t>(blocks_ * kLanesOfBlock), 0),
      extra_(static_cast<std::size_t>(blocks_ * kLanesOfBlock), 0.0F),
      excess_(static_cast<std::size_t>(blocks_)),
      seen_(static_cast<std::size_t>(blocks_), 0),
      wanted_(static_cast<std::size_t>(blocks_), 0) {
  const std::vector<double>& weights = state.weights;
  const double quantum = static_cast<double>(limit_) / kQuanta;
  up_ = static_cast<float>((1.0 + kRounding) / quantum);
  down_ = static_cast<float>((1.0 - kRounding) / quantum);
  double weight_quantum = 1.0;
  if (!weights.empty()) {
    const double heaviest = *std::max_element(weights.begin(), weights.end());
    double sum = 0.0;
    for (const double w : weights) sum += w / std::max(heaviest, 1e-300);
    const bool whole =
        std::all_of(weights.begin(), weights.end(), [](double w) { return w == std::floor(w); });
    // Rounding up adds at most one quantum a column.
    const double steps = std::min(kWeightQuanta, static_cast<double>(kMostWeight / 2) / std::max(sum, 1.0));
    if (std::all_of(weights.begin(), weights.end(), [&](double w) { return w == heaviest; })) {
      weight_quantum = std::max(heaviest, 1e-300);
    } else if (!whole || heaviest > steps) {
      weight_quantum = std::max(heaviest, 1e-300) / steps;
    }
    for (std::size_t c = 0; c < weights.size(); ++c)
      weights_[c] =
          static_cast<std::uint16_t>(std::min(std::ceil(weights[c] / weight_quantum), kWeightQuanta + 1.0));
    plain_ = std::all_of(weights_.begin(), weights_.end(), [](std::uint16_t w) { return w == 1; });
  }
  unit_ = quantum * weight_quantum * kSlack;
  // Of an empty memo the sums of quanta are gains.
  if (plain_ && std::all_of(state.memo.begin(), state.memo.end(), [](float memo) { return memo == 0.0F; }))
    return;
  for (Index c = 0; c < cols_; ++c)
    everything_.push_back({static_cast<std::int32_t>(c), memo_quanta(state.memo[static_cast<std::size_t>(c)]),
                           255, weights_[static_cast<std::size_t>(c)]});
}

float QuantisedBounds::choose_limit(std::vector<float>& sample) {
  const auto positive =
      std::remove_if(sample.begin(), sample.end(), [](float s) { return !(s > 0.0F && std::isfinite(s)); });
  if (positive == sample.begin()) return 0.0F;
  const auto at = sample.begin() + (positive - sample.begin() - 1) * 9999 / 10000;
  std::nth_element(sample.begin(), at, positive);
  return *at;
}

void QuantisedBounds::store(Index first, Index count, const float* s, TileScratch&) {
  for (Index begin = 0; begin < count; begin += kLanesOfBlock) {
    const Index block = (first + begin) / kLanesOfBlock;
    const Index in_block = std::min(kLanesOfBlock, count - begin);
    std::uint8_t* to = values_.data() + block * cols_ * kLanesOfBlock;
    std::int32_t* gains = start_.data() + block * kLanesOfBlock;
    kernels().quantise(s + begin * cols_, in_block, cols_, up_, to, gains);
    if (!everything_.empty()) {
      std::fill(gains, gains + kLanesOfBlock, 0);
      kernels().quantised_loss(to, everything_.data(), cols_, plain_, gains);
      for (Index r = 0; r < kLanesOfBlock; ++r) gains[r] = -gains[r];
    }
    for (Index r = 0; r < in_block; ++r) keep_excess(block, r, s + (begin + r) * cols_);
    excess_[static_cast<std::size_t>(block)].shrink_to_fit();
  }
}

void QuantisedBounds::keep_excess(Index block, Index lane, const float* s) {
  std::int32_t columns[kMostExcess + 1];
  const Index found = kernels().above(s, limit_, cols_, columns, kMostExcess + 1);
  std::vector<Excess>& kept = excess_[static_cast<std::size_t>(block)];
  for (Index e = 0; e < std::min(found, kMostExcess); ++e)
    kept.push_back({columns[e], static_cast<std::int32_t>(lane), s[columns[e]]});
  if (found <= kMostExcess) return;
  // Too many: what the others may add whatever the memo.
  double rest = 0.0;
  for (Index c = columns[kMostExcess]; c < cols_; ++c)
    if (s[c] > limit_) rest += weight(c) * (static_cast<double>(s[c]) - static_cast<double>(limit_));
  kept.push_back({-1, static_cast<std::int32_t>(lane), std::max(static_cast<float>(rest * kSlack), FLT_MIN)});
}

void QuantisedBounds::add_excess(Index block) {
  const std::vector<Excess>& kept = excess_[static_cast<std::size_t>(block)];
  if (kept.empty()) return;
  float* extra = extra_.data() + block * kLanesOfBlock;
  for (std::size_t e = 0; e < kept.size();) {  // those of a row follow one another
    const std::int32_t lane = kept[e].lane;
    double sum = 0.0;
    for (; e < kept.size() && kept[e].lane == lane; ++e) {
      const Excess& one = kept[e];
      if (one.column < 0) {
        sum += static_cast<double>(one.value);
        continue;
      }
      const float from = std::max(limit_, state_.memo[static_cast<std::size_t>(one.column)]);
      if (one.value > from)
        sum += weight(one.column) * (static_cast<double>(one.value) - static_cast<double>(from));
    }
    extra[lane] = sum > 0.0 ? std::max(static_cast<float>(sum * kSlack), FLT_MIN) : 0.0F;
  }
}

void QuantisedBounds::reset() {
  log_.clear();
  gains_ = start_;
  std::fill(seen_.begin(), seen_.end(), 0U);
  for (Index block = 0; block < blocks_; ++block) add_excess(block);
}

std::uint8_t QuantisedBounds::memo_quanta(float value) const {
  return static_cast<std::uint8_t>(std::min(value * down_, static_cast<float>(kQuanta)));
}

void QuantisedBounds::committed(const std::vector<MemoChange>& changes) {
  std::vector<QuantumChange>& quanta = log_.emplace_back();
  for (const MemoChange& change : changes) {
    const std::uint8_t low = memo_quanta(change.before);
    const std::uint8_t high = memo_quanta(change.after);
    if (high > low)
      quanta.push_back({static_cast<std::int32_t>(change.column), low, high,
                        weights_[static_cast<std::size_t>(change.column)]});
  }
}

void QuantisedBounds::lower(const Index* rows, const std::vector<Index>& which, double, double* out,
                            ThreadPool& pool, const Poll& poll) {
  std::vector<Index> blocks;
  for (const Index j : which) {
    const Index block = rows[j] / kLanesOfBlock;
    const auto b = static_cast<std::size_t>(block);
    if (wanted_[b] != 0 || seen_[b] == log_.size()) continue;
    wanted_[b] = 1;
    blocks.push_back(block);
  }
  catch_up(blocks, pool, poll);
  for_parts(static_cast<Index>(which.size()), pool, [&](Index begin, Index end) {
    for (Index k = begin; k < end; ++k) {
      const Index j = which[static_cast<std::size_t>(k)];
      out[j] = std::min(out[j], bound(rows[j]));
    }
  });
}

void QuantisedBounds::catch_up(std::vector<Index>& blocks, ThreadPool& pool, const Poll& poll) {
  for (const Index block : blocks) wanted_[static_cast<std::size_t>(block)] = 0;
  // Youngest first: the changes that a block has to know of are then some of those of the next.
  const auto seen = [&](Index block) { return seen_[static_cast<std::size_t>(block)]; };
  std::sort(blocks.begin(), blocks.end(),
            [&](Index a, Index b) { return seen(a) > seen(b) || (seen(a) == seen(b) && a < b); });
  workers_.resize(std::max(workers_.size(), static_cast<std::size_t>(pool.size())));
  const auto count = static_cast<Index>(blocks.size());
  const auto task = [&](Index t, int w) {
    Worker& worker = workers_[static_cast<std::size_t>(w)];
    worker.place.resize(static_cast<std::size_t>(cols_), -1);
    std::vector<QuantumChange>& changes = worker.changes;
    for (const QuantumChange& change : changes) worker.place[static_cast<std::size_t>(change.column)] = -1;
    changes.clear();
    std::size_t now = log_.size();
    for (Index at = t * kBlocksPerTask; at < std::min(count, (t + 1) * kBlocksPerTask); ++at) {
      const Index block = blocks[static_cast<std::size_t>(at)];
      for (; now > seen(block); --now) {
        for (const QuantumChange& change : log_[now - 1]) {
          std::int32_t& place = worker.place[static_cast<std::size_t>(change.column)];
          if (place >= 0) {
            changes[static_cast<std::size_t>(place)].low = change.low;
          } else {
            place = static_cast<std::int32_t>(changes.size());
            changes.push_back(change);
          }
        }
      }
      const auto changed = static_cast<Index>(changes.size());
      // The first lines of the blocks to come; where few columns change, these are all that are needed.
      if (at + kBlocksAhead < count) {
        const std::uint8_t* next =
            values_.data() + blocks[static_cast<std::size_t>(at + kBlocksAhead)] * cols_ * kLanesOfBlock;
        for (Index k = 0; k < std::min(changed, kFewChanges); ++k)
          __builtin_prefetch(next + changes[static_cast<std::size_t>(k)].column * kLanesOfBlock);
      }
      kernels().quantised_loss(values_.data() + block * cols_ * kLanesOfBlock, changes.data(), changed,
                               plain_, gains_.data() + block * kLanesOfBlock);
      add_excess(block);
      seen_[static_cast<std::size_t>(block)] = static_cast<std::uint32_t>(log_.size());
    }
  };
  const Index tasks = (count + kBlocksPerTask - 1) / kBlocksPerTask;
  Index lines = 0;
  for (std::size_t t = count > 0 ? seen(blocks.back()) : log_.size(); t < log_.size(); ++t)
    lines += static_cast<Index>(log_[t].size());
  if (count * std::min(lines, cols_) > kFewLines) {
    pool.run(tasks, task, poll);
  } else {
    for (Index t = 0; t < tasks; ++t) task(t, 0);
  }
}

}  // namespace albench
