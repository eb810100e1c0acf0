#include "albench/coarse_bounds.hpp"

#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <limits>

#include "sampled_slack.hpp"

namespace albench {
namespace {

constexpr double kMostSlack = 5.0;         // in standard deviations of gains
constexpr Index kUndecided = 2;            // coarse features decide if at most one row in so many is left
constexpr Index kTileRows = 48;            // rows that share one product
constexpr float kMemoStep = 3.0F;          // in offsets
constexpr double kSumRounding = 0x1p-17;   // of coarse_rise
constexpr float kRounding = 0x1p-22F;      // more than two roundings to float32
constexpr double kGainRounding = 0x1p-40;  // more than sums of a row's gain in double

}  // namespace

CoarseBounds::CoarseBounds(const FacilityState& state, Index first)
    : state_(state),
      first_(first),
      features_(state.source, first),
      changed_(state.source.cols()),
      others_(state),
      start_memo_(state.memo),
      most_(state.source.caps()),
      rows_(static_cast<std::size_t>(state.source.rows() - first)),
      seen_(rows_.size()) {
  if (most_.empty()) most_.assign(start_memo_.size(), FLT_MAX);
  if (state.weights.empty()) return;
  const double heaviest = *std::max_element(state.weights.begin(), state.weights.end());
  unit_ = heaviest > 0.0 ? heaviest : 1.0;
  for (const double w : state.weights)
    weights_.push_back(std::nextafter(static_cast<float>(w / unit_), 2.0F));
}

CoarseBounds::Row CoarseBounds::first_look(const float* s, const std::int32_t* products, float factor) const {
  const KernelTable& kernel = kernels();
  const Index q = state_.source.cols();
  const float* factors = features_.all().factors.data();
  const CoarseError error = kernel.coarse_error(products, factors, factor, s, q);
  Row row;
  row.offset = error.below + kRounding * (std::fabs(error.below) + error.largest) + FLT_MIN;
  const double sum = kernel.coarse_rise(products, factors, factor, row.offset, start_memo_.data(),
                                        most_.data(), weights_.empty() ? nullptr : weights_.data(), q);
  // Where numbers are too large for coarse features there is no bound.
  const bool known = std::isfinite(factor) && std::isfinite(row.offset) && sum < 1e30;
  row.start = known ? std::nextafter(static_cast<float>(sum * (1.0 + 2.0 * kSumRounding)), FLT_MAX)
                    : std::numeric_limits<float>::infinity();
  return row;
}

void CoarseBounds::store(Index first, Index count, const float* s, TileScratch& scratch) {
  const Index q = state_.source.cols();
  scratch.products.resize(static_cast<std::size_t>(kTileRows * q));
  for (Index begin = std::max(Index{0}, first_ - first); begin < count; begin += kTileRows) {
    const Index in_tile = std::min(kTileRows, count - begin);
    const Index top = first + begin;
    for (Index r = 0; r < in_tile; ++r) features_.make(top + r, scratch.packed, features_.place(top + r));
    features_.products(features_.place(top), in_tile, features_.all(), q, scratch.products.data(), q);
    for (Index r = 0; r < in_tile; ++r)
      rows_[place(top + r)] =
          first_look(s + (begin + r) * q, scratch.products.data() + r * q, features_.factor(top + r));
  }
}

void CoarseBounds::reset() {
  changed_.reset();
  others_.reset();
  std::fill(seen_.begin(), seen_.end(), 0U);
  memo_ = start_memo_;
  double sum = 0.0;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    Row& row = rows_[r];
    row.bound = state_.modular[r + static_cast<std::size_t>(first_)] +
                unit_ * static_cast<double>(row.start) * (1.0 + kGainRounding);
    if (std::isfinite(row.start)) sum += static_cast<double>(row.offset);
  }
  memo_step_ = kMemoStep * static_cast<float>(sum / static_cast<double>(rows_.size()));
}

void CoarseBounds::committed(const std::vector<MemoChange>& changes) {
  std::vector<MemoChange> known;
  for (const MemoChange& change : changes) {
    float& memo = memo_[static_cast<std::size_t>(change.column)];
    if (change.after - memo < memo_step_) continue;
    known.push_back({change.column, memo, change.after});
    memo = change.after;
  }
  changed_.committed(known);
  others_.committed(changes);
}

void CoarseBounds::lower_block(const Index* rows, const Index* which, Index count, double* out,
                               Worker& worker) {
  const std::vector<float>& high = changed_.high();
  const auto ldo = static_cast<Index>(high.size());
  worker.low = high;
  worker.tile.products.resize(static_cast<std::size_t>(kTileRows * ldo));
  std::uint32_t now = changed_.time();
  for (Index begin = 0; begin < count; begin += kTileRows) {
    const Index in_tile = std::min(kTileRows, count - begin);
    Index tile[kTileRows];
    Row known[kTileRows];
    std::uint32_t seen[kTileRows];
    // All of them before the first is used: they come from memory, and do not wait for one another.
    for (Index r = 0; r < in_tile; ++r) {
      tile[r] = rows[which[begin + r]];
      known[r] = rows_[place(tile[r])];
      seen[r] = seen_[place(tile[r])];
    }
    for (Index r = begin + kTileRows; r < std::min(count, begin + 2 * kTileRows); ++r) {
      const Index row = rows[which[r]];
      features_.prefetch(row);
      __builtin_prefetch(&rows_[place(row)]);
    }
    const Index widest = changed_.since(seen[in_tile - 1]);
    features_.products(tile, in_tile, selection_, widest, worker.tile.products.data(), ldo, worker.packed);
    for (Index r = 0; r < in_tile; ++r) {
      changed_.back(worker.low, now, seen[r]);
      const double loss = kernels().coarse_rise(
          worker.tile.products.data() + r * ldo, selection_.factors.data(), features_.factor(tile[r]),
          known[r].offset, worker.low.data(), high.data(),
          selected_weights_.empty() ? nullptr : selected_weights_.data(), changed_.since(seen[r]));
      const double now_at_most =
          known[r].bound * (1.0 + kGainRounding) - unit_ * (loss * (1.0 - kSumRounding)) + DBL_MIN;
      rows_[place(tile[r])].bound = now_at_most;
      seen_[place(tile[r])] = changed_.time();
      double& bound = out[which[begin + r]];
      bound = std::min(bound, now_at_most);  // one that is no number leaves what is there
    }
  }
}

void CoarseBounds::lower_coarse(const Index* rows, const std::vector<Index>& which, double* out,
                                ThreadPool& pool, const Poll& poll) {
  const std::vector<Index> sorted = changed_.by_age(rows, which, seen_, first_);
  changed_.order(seen_[place(rows[sorted.back()])], memo_);
  const std::vector<Index>& columns = changed_.columns();
  if (!columns.empty()) features_.select(columns, selection_);
  selected_weights_.clear();
  if (!weights_.empty())
    for (const Index c : columns) selected_weights_.push_back(weights_[static_cast<std::size_t>(c)]);
  workers_.resize(static_cast<std::size_t>(pool.size()));
  const auto count = static_cast<Index>(sorted.size());
  pool.run((count + kTaskRows - 1) / kTaskRows,
           [&](Index task, int worker) {
             const Index begin = task * kTaskRows;
             lower_block(rows, sorted.data() + begin, std::min(kTaskRows, count - begin), out,
                         workers_[static_cast<std::size_t>(worker)]);
           },
           poll);
}

void CoarseBounds::lower(const Index* rows, const std::vector<Index>& which, double threshold, double* out,
                         ThreadPool& pool, const Poll& poll) {
  if (static_cast<Index>(which.size()) <= kFewRows || changed_.time() == 0) return;
  const auto count = static_cast<Index>(which.size());
  Buffer<double> kept;
  kept.resize(which.size());
  double* before = kept.data();
  for_parts(count, pool, [&](Index begin, Index end) {
    for (Index p = begin; p < end; ++p) before[p] = out[which[static_cast<std::size_t>(p)]];
  });
  lower_coarse(rows, which, out, pool, poll);
  std::atomic<std::ptrdiff_t> reaching{0};
  for_parts(count, pool, [&](Index begin, Index end) {
    reaching += std::count_if(which.begin() + begin, which.begin() + end,
                              [&](Index j) { return out[j] >= threshold; });
  });
  // Of most columns a row's gain is as soon computed as what it lost.
  const bool most_changed = 2 * static_cast<Index>(changed_.columns().size()) > state_.source.cols();
  const bool decided = most_changed || reaching <= count / kUndecided;
  if (decided) {
    for_parts(count, pool, [&](Index begin, Index end) {
      for (Index p = begin; p < end; ++p) {
        const Index j = which[static_cast<std::size_t>(p)];
        if (out[j] < before[p]) others_.computed(rows[j]);
      }
    });
    return;
  }
  std::vector<Index> open;
  std::vector<double> coarse;
  for (std::size_t p = 0; p < which.size(); ++p) {
    const Index j = which[p];
    if (out[j] >= threshold) {
      open.push_back(j);
      coarse.push_back(out[j]);
      out[j] = before[p];  // as old as floats have seen it
    } else if (out[j] < before[p]) {
      others_.computed(rows[j]);
    }
  }
  if (open.empty()) return;
  others_.lower(rows, open, threshold, out, pool, poll);
  for (std::size_t p = 0; p < open.size(); ++p) {
    double& bound = out[open[p]];
    bound = std::min(bound, coarse[p]);
    others_.computed(rows[open[p]]);  // whether floats looked or not, it is a bound as of now
  }
}

bool CoarseBounds::promising() const {
  // Not where rows are kept: the system would clear a large page for each, on this thread.
  Buffer<std::int8_t> made(
      static_cast<std::size_t>(CoarseFeatures::bytes_per_row(state_.source.panels()->dim())));
  Buffer<float> features;
  std::vector<std::int32_t> products(static_cast<std::size_t>(state_.source.cols()));
  return sampled_slack(state_, first_, [&](Index row, const float* s, const auto&) {
           features_.make(row, features, made.data());
           features_.products(made.data(), 1, features_.all(), state_.source.cols(), products.data(),
                              state_.source.cols());
           const float factor = features_.factor(made.data());
           return unit_ * static_cast<double>(first_look(s, products.data(), factor).start);
         }) <= kMostSlack;
}

}  // namespace albench
