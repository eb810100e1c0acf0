#include "albench/delta_bounds.hpp"

#include <algorithm>

namespace albench {
namespace {

constexpr Index kFewRows = 32;
constexpr Index kTaskRows = 192;
constexpr Index kTileRows =
    4 * kMicroRows;  // rows that share one product: sorted by age, so of about the same

}  // namespace

DeltaBounds::DeltaBounds(const FacilityState& state)
    : state_(state),
      slack_(static_cast<double>(state.source.cols() + 64) * 0x1p-52),
      seen_(static_cast<std::size_t>(state.source.rows()), 0),
      last_(static_cast<std::size_t>(state.source.cols()), 0),
      place_(static_cast<std::size_t>(state.source.cols()), 0) {}

void DeltaBounds::reset() {
  time_ = 0;
  std::fill(seen_.begin(), seen_.end(), 0U);
  std::fill(last_.begin(), last_.end(), 0U);
  log_.clear();
}

void DeltaBounds::committed(const std::vector<MemoChange>& changes) {
  ++time_;
  log_.push_back(changes);
  for (const MemoChange& change : changes) last_[static_cast<std::size_t>(change.column)] = time_;
}

void DeltaBounds::order_columns(std::uint32_t oldest) {
  const std::vector<double>& weights = state_.weights;
  std::vector<Index> columns;
  newer_.assign(static_cast<std::size_t>(time_) + 1, 0);
  for (std::size_t c = 0; c < last_.size(); ++c) {
    if (last_[c] <= oldest) continue;
    columns.push_back(static_cast<Index>(c));
    ++newer_[last_[c] - 1];
  }
  for (std::size_t t = time_; t > 0; --t) newer_[t - 1] += newer_[t];
  std::stable_sort(columns.begin(), columns.end(), [&](Index a, Index b) {
    return last_[static_cast<std::size_t>(a)] > last_[static_cast<std::size_t>(b)];
  });
  high_.resize(columns.size());
  selected_weights_.resize(weights.empty() ? 0 : columns.size());
  for (std::size_t p = 0; p < columns.size(); ++p) {
    const auto c = static_cast<std::size_t>(columns[p]);
    place_[c] = static_cast<Index>(p);
    high_[p] = state_.memo[c];
    if (!weights.empty()) selected_weights_[p] = weights[c];
  }
  if (!columns.empty()) selection_.select(*state_.source.panels(), columns);
}

void DeltaBounds::lower_block(const Index* rows, const Index* which, Index count, double* out,
                              Worker& worker) const {
  // `low` walks back in time, from the memo of now to the memo each row was last compared with.
  worker.low = high_;
  worker.rows.resize(static_cast<std::size_t>(kTileRows));
  worker.tile.values.resize(static_cast<std::size_t>(kTileRows) * high_.size());
  const auto ldo = static_cast<Index>(high_.size());
  std::uint32_t now = time_;
  for (Index begin = 0; begin < count; begin += kTileRows) {
    const Index in_block = std::min(kTileRows, count - begin);
    for (Index r = 0; r < in_block; ++r) worker.rows[static_cast<std::size_t>(r)] = rows[which[begin + r]];
    const Index widest = columns_since(seen_[static_cast<std::size_t>(rows[which[begin + in_block - 1]])]);
    if (widest == 0) continue;
    state_.source.read_selected(worker.rows.data(), in_block, selection_, widest, worker.tile.values.data(),
                                ldo, worker.tile);
    for (Index r = 0; r < in_block; ++r) {
      const std::uint32_t then = seen_[static_cast<std::size_t>(worker.rows[static_cast<std::size_t>(r)])];
      for (; now > then; --now)
        for (const MemoChange& change : log_[now - 1])
          worker.low[static_cast<std::size_t>(place_[static_cast<std::size_t>(change.column)])] =
              change.before;
      const double loss = kernels().clamped_rise(
          worker.tile.values.data() + r * ldo, worker.low.data(), high_.data(),
          selected_weights_.empty() ? nullptr : selected_weights_.data(), columns_since(then));
      double& bound = out[which[begin + r]];
      bound = bound * (1.0 + 4.0 * slack_) - loss * (1.0 - 2.0 * slack_);
    }
  }
}

void DeltaBounds::lower(const Index* rows, const std::vector<Index>& which, double* out, ThreadPool& pool,
                        const Poll& poll) {
  // Of few rows the gains are as soon computed.
  if (static_cast<Index>(which.size()) <= kFewRows || time_ == 0) return;
  // Youngest first: counting sort by the time a row was last seen; rows of equal age stay in order.
  const auto seen = [&](Index j) { return seen_[static_cast<std::size_t>(rows[j])]; };
  std::vector<Index> at(static_cast<std::size_t>(time_) + 2, 0);
  for (const Index j : which) ++at[time_ - seen(j) + 1];
  for (std::size_t t = 1; t < at.size(); ++t) at[t] += at[t - 1];
  std::vector<Index> sorted(which.size());
  for (const Index j : which) sorted[static_cast<std::size_t>(at[time_ - seen(j)]++)] = j;

  order_columns(seen(sorted.back()));
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
  for (const Index j : which) seen_[static_cast<std::size_t>(rows[j])] = time_;
}

}  // namespace albench
