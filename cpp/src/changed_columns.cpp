#include "albench/changed_columns.hpp"

#include <algorithm>

namespace albench {

void ChangedColumns::reset() {
  time_ = 0;
  std::fill(last_.begin(), last_.end(), 0U);
  log_.clear();
}

void ChangedColumns::committed(const std::vector<MemoChange>& changes) {
  ++time_;
  log_.push_back(changes);
  for (const MemoChange& change : changes) last_[static_cast<std::size_t>(change.column)] = time_;
}

std::vector<Index> ChangedColumns::by_age(const Index* rows, const std::vector<Index>& which,
                                          const std::vector<std::uint32_t>& seen, Index first) const {
  const auto age = [&](Index j) { return time_ - seen[static_cast<std::size_t>(rows[j] - first)]; };
  std::vector<Index> at(static_cast<std::size_t>(time_) + 2, 0);  // counting sort
  for (const Index j : which) ++at[age(j) + 1];
  for (std::size_t t = 1; t < at.size(); ++t) at[t] += at[t - 1];
  std::vector<Index> sorted(which.size());
  for (const Index j : which) sorted[static_cast<std::size_t>(at[age(j)]++)] = j;
  return sorted;
}

void ChangedColumns::order(std::uint32_t oldest, const std::vector<float>& memo) {
  columns_.clear();
  newer_.assign(static_cast<std::size_t>(time_) + 1, 0);
  for (std::size_t c = 0; c < last_.size(); ++c) {
    if (last_[c] <= oldest) continue;
    columns_.push_back(static_cast<Index>(c));
    ++newer_[last_[c] - 1];
  }
  for (std::size_t t = time_; t > 0; --t) newer_[t - 1] += newer_[t];
  std::stable_sort(columns_.begin(), columns_.end(), [&](Index a, Index b) {
    return last_[static_cast<std::size_t>(a)] > last_[static_cast<std::size_t>(b)];
  });
  high_.resize(columns_.size());
  for (std::size_t p = 0; p < columns_.size(); ++p) {
    const auto c = static_cast<std::size_t>(columns_[p]);
    place_[c] = static_cast<Index>(p);
    high_[p] = memo[c];
  }
}

void ChangedColumns::back(std::vector<float>& low, std::uint32_t& now, std::uint32_t then) const {
  for (; now > then; --now)
    for (const MemoChange& change : log_[now - 1])
      low[static_cast<std::size_t>(place_[static_cast<std::size_t>(change.column)])] = change.before;
}

}  // namespace albench
