#include "albench/delta_bounds.hpp"

#include <algorithm>

namespace albench {
namespace {

constexpr Index kTileRows =
    4 * kMicroRows;  // rows that share one product: sorted by age, so of about the same

}  // namespace

DeltaBounds::DeltaBounds(const FacilityState& state)
    : state_(state),
      slack_(static_cast<double>(state.source.cols() + 64) * 0x1p-52),
      changed_(state.source.cols()),
      seen_(static_cast<std::size_t>(state.source.rows()), 0) {}

void DeltaBounds::reset() {
  changed_.reset();
  std::fill(seen_.begin(), seen_.end(), 0U);
}

void DeltaBounds::lower_block(const Index* rows, const Index* which, Index count, double* out,
                              Worker& worker) {
  const std::vector<float>& high = changed_.high();
  worker.low = high;
  worker.rows.resize(static_cast<std::size_t>(kTileRows));
  worker.tile.values.resize(static_cast<std::size_t>(kTileRows) * high.size());
  const auto ldo = static_cast<Index>(high.size());
  std::uint32_t now = changed_.time();
  for (Index begin = 0; begin < count; begin += kTileRows) {
    const Index in_block = std::min(kTileRows, count - begin);
    for (Index r = 0; r < in_block; ++r) worker.rows[static_cast<std::size_t>(r)] = rows[which[begin + r]];
    const Index widest = changed_.since(seen_[static_cast<std::size_t>(rows[which[begin + in_block - 1]])]);
    if (widest > 0)
      state_.source.read_selected(worker.rows.data(), in_block, selection_, widest, worker.tile.values.data(),
                                  ldo, worker.tile);
    for (Index r = 0; r < in_block; ++r) {
      std::uint32_t& seen = seen_[static_cast<std::size_t>(worker.rows[static_cast<std::size_t>(r)])];
      const std::uint32_t then = seen;
      seen = changed_.time();
      if (widest == 0) continue;
      changed_.back(worker.low, now, then);
      const double loss = kernels().clamped_rise(
          worker.tile.values.data() + r * ldo, worker.low.data(), high.data(),
          selected_weights_.empty() ? nullptr : selected_weights_.data(), changed_.since(then));
      double& bound = out[which[begin + r]];
      bound = bound * (1.0 + 4.0 * slack_) - loss * (1.0 - 2.0 * slack_);
    }
  }
}

void DeltaBounds::lower(const Index* rows, const std::vector<Index>& which, double, double* out,
                        ThreadPool& pool, const Poll& poll) {
  if (static_cast<Index>(which.size()) <= kFewRows || changed_.time() == 0) return;
  const std::vector<Index> sorted = changed_.by_age(rows, which, seen_);
  changed_.order(seen_[static_cast<std::size_t>(rows[sorted.back()])], state_.memo);
  const std::vector<Index>& columns = changed_.columns();
  if (!columns.empty()) selection_.select(*state_.source.panels(), columns);
  selected_weights_.clear();
  if (!state_.weights.empty())
    for (const Index c : columns) selected_weights_.push_back(state_.weights[static_cast<std::size_t>(c)]);
  workers_.resize(static_cast<std::size_t>(pool.size()));
  const auto count = static_cast<Index>(sorted.size());
  const Index tasks = (count + kTaskRows - 1) / kTaskRows;
  pool.run(
      tasks,
      [&](Index task, int worker) {
        const Index begin = task * kTaskRows;
        lower_block(rows, sorted.data() + begin, std::min(kTaskRows, count - begin), out,
                    workers_[static_cast<std::size_t>(worker)]);
      },
      poll);
}

}  // namespace albench
