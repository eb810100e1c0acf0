// Naive and lazy greedy.
#include <algorithm>
#include <string>

#include "albench/bounds.hpp"
#include "albench/optimizers.hpp"

namespace albench {
namespace {

// Indices of the batch with the largest gains, without `except`: at most kept.capacity of them, in no order.
void keep_largest(const std::vector<Index>& batch, const std::vector<double>& gain, Index except,
                  std::size_t most, std::vector<Index>& kept) {
  std::vector<std::pair<double, Index>> heap;  // smallest of the kept on top
  const auto larger = [](const std::pair<double, Index>& a, const std::pair<double, Index>& b) {
    return a.first > b.first;
  };
  for (std::size_t j = 0; j < batch.size(); ++j) {
    if (batch[j] == except || (heap.size() == most && gain[j] <= heap.front().first)) continue;
    if (heap.size() == most) {
      std::pop_heap(heap.begin(), heap.end(), larger);
      heap.pop_back();
    }
    heap.emplace_back(gain[j], batch[j]);
    std::push_heap(heap.begin(), heap.end(), larger);
  }
  kept.clear();
  for (const auto& [value, index] : heap) kept.push_back(index);
}

}  // namespace

bool take(SetFunction& f, const GreedyOptions& options, ThreadPool& pool, Selection& out, Index index,
          double gain) {
  f.commit(index, pool);
  out.indices.push_back(index);
  out.gains.push_back(gain);
  if (options.poll) options.poll();
  return !options.progress || options.progress(static_cast<Index>(out.indices.size()), index, gain);
}

Selection naive_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  Selection out;
  std::vector<Index> left = options.candidates;
  std::vector<double> gain(left.size());
  for (Index step = 0; step < options.budget; ++step) {
    f.gains(left.data(), static_cast<Index>(left.size()), gain.data(), pool, options.poll);
    std::size_t best = 0;
    for (std::size_t j = 1; j < left.size(); ++j)
      if (gain[j] > gain[best]) best = j;  // `left` ascends, so the first of equals has the lowest index
    const Index index = left[best];
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
    if (!take(f, options, pool, out, index, gain[best])) break;
  }
  return out;
}

namespace {

// Lazy greedy from bounds kept here, lowered in batches by the function.
Selection threshold_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  constexpr std::size_t kRunnersUp = 16;
  constexpr std::size_t kLargeBatch = 2048;
  constexpr std::size_t kShare = 32;
  Selection out;
  Bounds bounds(f.size());
  {
    std::vector<double> start(static_cast<std::size_t>(f.size()));
    f.start_bounds(start.data());
    for (const Index i : options.candidates) bounds.set(i, start[static_cast<std::size_t>(i)]);
    bounds.settle_all();
  }
  std::vector<Index> runners_up;  // best of the last step's other candidates: a good first threshold
  std::vector<Index> batch;
  std::vector<double> gain;
  Best best;
  const auto refine = [&](double threshold) {
    gain.resize(batch.size());
    const double factor = f.bound_factor();
    for (std::size_t j = 0; j < batch.size(); ++j) gain[j] = bounds[batch[j]] * factor;
    f.refine(batch.data(), static_cast<Index>(batch.size()), threshold, gain.data(), pool, options.poll);
    for (std::size_t j = 0; j < batch.size(); ++j) bounds.set(batch[j], gain[j]);
    for (std::size_t j = 0; j < batch.size(); ++j)
      if (j + 1 == batch.size() || batch[j + 1] / Bounds::kBlock != batch[j] / Bounds::kBlock)
        bounds.settle(batch[j]);
    // What is not exact lies below the largest, which is.
    for (std::size_t j = 0; j < batch.size(); ++j)
      if (gain[j] >= threshold) best.see(batch[j], gain[j]);
  };

  for (Index step = 0; step < options.budget; ++step) {
    best = Best();
    // A first threshold: the best of some candidates that are likely to be good.
    batch = runners_up;
    const Index top = bounds.argmax();
    if (std::find(batch.begin(), batch.end(), top) == batch.end()) batch.push_back(top);
    std::sort(batch.begin(), batch.end());
    refine(Bounds::kRemoved);

    batch.clear();
    bounds.reaching(best.gain / f.bound_factor(), batch);
    if (batch.size() > kLargeBatch) {
      // The most promising few first: they raise the threshold for all others.
      std::vector<double> value(batch.size());
      for (std::size_t j = 0; j < batch.size(); ++j) value[j] = bounds[batch[j]];
      const auto cut = value.begin() + static_cast<std::ptrdiff_t>(value.size() / kShare);
      std::nth_element(value.begin(), cut, value.end(), [](double a, double b) { return a > b; });
      batch.clear();
      bounds.reaching(*cut, batch);
      refine(best.gain);
      batch.clear();
      bounds.reaching(best.gain / f.bound_factor(), batch);
    }
    refine(best.gain);
    keep_largest(batch, gain, best.index, kRunnersUp, runners_up);

    bounds.set(best.index, Bounds::kRemoved);
    bounds.settle(best.index);
    if (!take(f, options, pool, out, best.index, best.gain)) break;
  }
  return out;
}

}  // namespace

namespace {

// Where the function keeps all bounds up to date: the largest are computed exactly until the best exact gain
// is out of reach of the rest.
class CurrentBounds {
 public:
  explicit CurrentBounds(const GreedyOptions& options, Index size)
      : open_(static_cast<std::size_t>(size), 0) {
    for (const Index i : options.candidates) open_[static_cast<std::size_t>(i)] = 1;
    largest_.resize((open_.size() + kChunkRows - 1) / kChunkRows);
  }

  Best best(SetFunction& f, const double* bounds, ThreadPool& pool, const Poll& poll) {
    pool.run(static_cast<Index>(largest_.size()), [&](Index task, int) {
      double most = Bounds::kRemoved;
      const auto begin = static_cast<std::size_t>(task) * kChunkRows;
      for (std::size_t i = begin; i < std::min(open_.size(), begin + kChunkRows); ++i)
        most = std::max(most, open_[i] != 0 ? bounds[i] : Bounds::kRemoved);
      largest_[static_cast<std::size_t>(task)] = most;
    });
    Best best;
    double reach = *std::max_element(largest_.begin(), largest_.end());
    collect(bounds, reach);
    evaluate(f, best, pool, poll);
    const double tried = reach;
    reach = best.gain;
    if (reach > tried) return best;
    collect(bounds, reach);
    std::sort(rows_.begin(), rows_.end(), [&](Index a, Index b) {
      const double x = bounds[a];
      const double y = bounds[b];
      return x > y || (x == y && a < b);
    });
    // In small batches from the largest down; those tried already come first and are not repeated.
    std::vector<Index> left;
    for (const Index i : rows_)
      if (bounds[i] < tried) left.push_back(i);
    const auto most = std::size_t{4} * static_cast<std::size_t>(pool.size());
    for (std::size_t done = 0; done < left.size() && bounds[left[done]] >= best.gain; done += most) {
      rows_.assign(left.begin() + static_cast<std::ptrdiff_t>(done),
                   left.begin() + static_cast<std::ptrdiff_t>(std::min(left.size(), done + most)));
      evaluate(f, best, pool, poll);
    }
    return best;
  }

  void close(Index i) { open_[static_cast<std::size_t>(i)] = 0; }

 private:
  static constexpr std::size_t kChunkRows = 8192;

  void collect(const double* bounds, double reach) {
    rows_.clear();
    for (std::size_t chunk = 0; chunk < largest_.size(); ++chunk) {
      if (largest_[chunk] < reach) continue;
      for (std::size_t i = chunk * kChunkRows; i < std::min(open_.size(), (chunk + 1) * kChunkRows); ++i)
        if (open_[i] != 0 && bounds[i] >= reach) rows_.push_back(static_cast<Index>(i));
    }
  }

  void evaluate(SetFunction& f, Best& best, ThreadPool& pool, const Poll& poll) {
    gain_.resize(rows_.size());
    f.gains(rows_.data(), static_cast<Index>(rows_.size()), gain_.data(), pool, poll);
    for (std::size_t j = 0; j < rows_.size(); ++j) best.see(rows_[j], gain_[j]);
  }

  std::vector<std::uint8_t> open_;  // candidates that are left
  std::vector<double> largest_;     // bound of each chunk
  std::vector<Index> rows_;
  std::vector<double> gain_;
};

}  // namespace

Selection lazy_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  if (f.current_bounds(pool, options.poll) == nullptr) return threshold_greedy(f, options, pool);
  Selection out;
  CurrentBounds bounds(options, f.size());
  for (Index step = 0; step < options.budget; ++step) {
    const Best best = bounds.best(f, f.current_bounds(pool, options.poll), pool, options.poll);
    bounds.close(best.index);
    if (!take(f, options, pool, out, best.index, best.gain)) break;
  }
  return out;
}

Selection maximize(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  const bool by_bounds = options.optimizer == Optimizer::lazy || options.optimizer == Optimizer::lazier;
  if (by_bounds && !f.diminishing())
    throw InputError("optimizer", "'naive' or 'stochastic' for a function whose gains may rise",
                     options.optimizer == Optimizer::lazy ? "'lazy'" : "'lazier'");
  f.reset(pool, options.poll);
  switch (options.optimizer) {
    case Optimizer::naive:
      return naive_greedy(f, options, pool);
    case Optimizer::lazy:
      return lazy_greedy(f, options, pool);
    case Optimizer::stochastic:
    case Optimizer::lazier:
      break;
  }
  return sampled_greedy(f, options, pool);
}

}  // namespace albench
