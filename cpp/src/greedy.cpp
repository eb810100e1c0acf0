// Naive and lazy greedy.
#include <algorithm>
#include <mutex>
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

bool take(SetFunction& f, const GreedyOptions& options, ThreadPool& pool, Selection& out, const Best& best) {
  best.require_finite();
  f.commit(best.index, pool);
  out.indices.push_back(best.index);
  out.gains.push_back(best.gain);
  if (options.poll) options.poll();
  return !options.progress || options.progress(static_cast<Index>(out.indices.size()), best.index, best.gain);
}

Selection naive_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  Selection out;
  std::vector<Index> left = options.candidates;
  std::vector<double> gain(left.size());
  for (Index step = 0; step < options.budget; ++step) {
    f.gains(left.data(), static_cast<Index>(left.size()), gain.data(), pool, options.poll);
    Best best;
    for (std::size_t j = 0; j < left.size(); ++j) best.see(left[j], gain[j]);
    left.erase(std::lower_bound(left.begin(), left.end(), best.index));
    if (!take(f, options, pool, out, best)) break;
  }
  return out;
}

// From bounds kept here, lowered in batches by the function.
Selection lazy_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  constexpr std::size_t kRunnersUp = 16;
  constexpr double kLargeBatch = 2048.0;
  constexpr std::size_t kShare = 32;
  f.expect_refine(pool, options.poll);
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
    const auto count = static_cast<Index>(batch.size());
    gain.resize(batch.size());
    const double factor = f.bound_factor();
    for_parts(count, pool, [&](Index begin, Index end) {
      for (auto j = static_cast<std::size_t>(begin); j < static_cast<std::size_t>(end); ++j)
        gain[j] = bounds[batch[j]] * factor;
    });
    f.refine(batch.data(), count, threshold, gain.data(), pool, options.poll);
    const auto block = [&](Index j) { return batch[static_cast<std::size_t>(j)] / Bounds::kBlock; };
    std::mutex one_at_a_time;
    for_parts(count, pool, [&](Index begin, Index end) {
      // A block belongs to the part in which it begins.
      while (begin > 0 && begin < count && block(begin) == block(begin - 1)) ++begin;
      while (end < count && block(end) == block(end - 1)) ++end;
      Best of_part;
      for (Index i = begin; i < end; ++i) {
        const auto j = static_cast<std::size_t>(i);
        bounds.set(batch[j], gain[j]);
        if (i + 1 == end || block(i + 1) != block(i)) bounds.settle(batch[j]);
        // What is not exact lies below the largest, which is.
        if (!(gain[j] < threshold)) of_part.see(batch[j], gain[j]);
      }
      const std::scoped_lock lock(one_at_a_time);
      if (of_part.index >= 0) best.see(of_part.index, of_part.gain);
    });
  };

  for (Index step = 0; step < options.budget; ++step) {
    best = Best();
    // A first threshold: the best of some candidates that are likely to be good.
    batch = runners_up;
    const Index top = bounds.argmax();
    if (std::find(batch.begin(), batch.end(), top) == batch.end()) batch.push_back(top);
    std::sort(batch.begin(), batch.end());
    refine(Bounds::kRemoved);
    best.require_finite();

    Bounds::Sample some = bounds.sample(best.gain / f.bound_factor());
    std::vector<double>& value = some.values;
    if (static_cast<double>(value.size()) * some.times > kLargeBatch) {
      // The most promising few first: they raise the threshold for all others.
      const auto cut = value.begin() + static_cast<std::ptrdiff_t>(value.size() / kShare);
      std::nth_element(value.begin(), cut, value.end(), [](double a, double b) { return a > b; });
      bounds.reaching(*cut, batch, pool);
      refine(best.gain);
    }
    bounds.reaching(best.gain / f.bound_factor(), batch, pool);
    refine(best.gain);
    keep_largest(batch, gain, best.index, kRunnersUp, runners_up);

    if (!take(f, options, pool, out, best)) break;
    bounds.set(best.index, Bounds::kRemoved);
    bounds.settle(best.index);
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
