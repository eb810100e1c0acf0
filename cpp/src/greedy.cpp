// Naive and lazy greedy.
#include <algorithm>
#include <string>

#include "albench/bounds.hpp"
#include "albench/optimizers.hpp"

namespace albench {
namespace {

bool better(double gain, Index index, double best_gain, Index best) {
  return best < 0 || gain > best_gain || (gain == best_gain && index < best);
}

// Records a choice; false if the caller asked to stop.
bool take(SetFunction& f, const GreedyOptions& options, ThreadPool& pool, Selection& out, Index index,
          double gain) {
  f.commit(index, pool);
  out.indices.push_back(index);
  out.gains.push_back(gain);
  if (options.poll) options.poll();
  return !options.progress || options.progress(static_cast<Index>(out.indices.size()), index, gain);
}

Selection naive(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
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

Selection lazy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  constexpr std::size_t kRunnersUp = 16;
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
  const auto refine = [&](double threshold) {
    gain.resize(batch.size());
    for (std::size_t j = 0; j < batch.size(); ++j) gain[j] = bounds[batch[j]] * f.bound_factor();
    f.refine(batch.data(), static_cast<Index>(batch.size()), threshold, gain.data(), pool, options.poll);
    for (std::size_t j = 0; j < batch.size(); ++j) bounds.set(batch[j], gain[j]);
    for (const Index i : batch) bounds.settle(i);
  };

  for (Index step = 0; step < options.budget; ++step) {
    Index best = -1;
    double best_gain = Bounds::kRemoved;
    // Some exact gains first: the best of them is the threshold all others have to reach.
    batch = runners_up;
    const Index top = bounds.argmax();
    if (std::find(batch.begin(), batch.end(), top) == batch.end()) batch.push_back(top);
    refine(Bounds::kRemoved);
    for (std::size_t j = 0; j < batch.size(); ++j)
      if (better(gain[j], batch[j], best_gain, best)) best = batch[j], best_gain = gain[j];

    batch.clear();
    bounds.reaching(best_gain / f.bound_factor(), batch);
    refine(best_gain);
    for (std::size_t j = 0; j < batch.size(); ++j)
      if (better(gain[j], batch[j], best_gain, best)) best = batch[j], best_gain = gain[j];

    // Rows of the last batch with the largest gains start the next step.
    std::vector<std::size_t> order(batch.size());
    for (std::size_t j = 0; j < order.size(); ++j) order[j] = j;
    const std::size_t keep = std::min(order.size(), kRunnersUp + 1);
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(keep), order.end(),
                      [&](std::size_t a, std::size_t b) { return gain[a] > gain[b]; });
    runners_up.clear();
    for (std::size_t j = 0; j < keep; ++j)
      if (batch[order[j]] != best) runners_up.push_back(batch[order[j]]);

    bounds.set(best, Bounds::kRemoved);
    bounds.settle(best);
    if (!take(f, options, pool, out, best, best_gain)) break;
  }
  return out;
}

}  // namespace

Selection maximize(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  if (options.optimizer == Optimizer::lazy && !f.diminishing())
    throw InputError("optimizer", "'naive' for a function whose gains may rise", "'lazy'");
  f.reset(pool, options.poll);
  return options.optimizer == Optimizer::naive ? naive(f, options, pool) : lazy(f, options, pool);
}

}  // namespace albench
