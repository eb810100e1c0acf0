// Stochastic greedy (Mirzasoleiman, Badanidiyuru, Karbasi, Vondrak, Krause: "Lazier than lazy greedy", AAAI
// 2015).
//
// Every step looks at a uniform sample, without replacement, of (n / budget) ln(1 / epsilon) of the
// candidates that are left: 1 - 1/e - epsilon in expectation, for n ln(1 / epsilon) evaluations in all.
#include <algorithm>
#include <cmath>
#include <limits>

#include "albench/optimizers.hpp"
#include "albench/random.hpp"

namespace albench {
namespace {

Index sample_size(const GreedyOptions& options) {
  const double share = static_cast<double>(options.candidates.size()) / static_cast<double>(options.budget);
  const double wanted =
      std::ceil(share * std::log(1.0 / options.epsilon));  // infinite for the smallest epsilon
  return static_cast<Index>(std::clamp(wanted, 1.0, static_cast<double>(options.candidates.size())));
}

// Best of an ascending sample, by bounds: the exact gain of the most promising, then of what still reaches
// it.
Best best_by_bounds(SetFunction& f, const std::vector<Index>& sample, std::vector<double>& bound,
                    ThreadPool& pool, const Poll& poll) {
  Best best;
  std::vector<Index> batch;
  std::vector<double> gain;
  const auto refine = [&](double threshold) {
    gain.clear();
    for (const Index i : batch) gain.push_back(bound[static_cast<std::size_t>(i)] * f.bound_factor());
    f.refine(batch.data(), static_cast<Index>(batch.size()), threshold, gain.data(), pool, poll);
    for (std::size_t j = 0; j < batch.size(); ++j) {
      bound[static_cast<std::size_t>(batch[j])] = gain[j];
      if (!(gain[j] < threshold)) best.see(batch[j], gain[j]);
    }
  };
  batch = {*std::max_element(sample.begin(), sample.end(), [&](Index a, Index b) {
    return bound[static_cast<std::size_t>(a)] < bound[static_cast<std::size_t>(b)];
  })};
  refine(-std::numeric_limits<double>::infinity());
  best.require_finite();
  batch.clear();
  for (const Index i : sample)
    if (bound[static_cast<std::size_t>(i)] * f.bound_factor() >= best.gain) batch.push_back(i);
  refine(best.gain);
  return best;
}

}  // namespace

Selection sampled_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool) {
  Selection out;
  Random random(options.seed);
  const Index size = sample_size(options);
  const bool by_bounds = options.optimizer == Optimizer::lazier;
  std::vector<double> bound;
  if (by_bounds) {
    bound.resize(static_cast<std::size_t>(f.size()));
    f.start_bounds(bound.data());
  }
  std::vector<Index> left = options.candidates;
  std::vector<Index> sample;
  std::vector<double> gain;
  for (Index step = 0; step < options.budget; ++step) {
    // The first `count` places of a Fisher-Yates shuffle are a uniform sample without replacement.
    const auto remaining = static_cast<Index>(left.size());
    const Index count = std::min(size, remaining);
    for (Index p = 0; p < count; ++p)
      std::swap(left[static_cast<std::size_t>(p)],
                left[static_cast<std::size_t>(p + random.below(remaining - p))]);
    sample.assign(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(count));
    std::sort(sample.begin(), sample.end());
    Best best;
    if (by_bounds) {
      best = best_by_bounds(f, sample, bound, pool, options.poll);
    } else {
      gain.resize(sample.size());
      f.gains(sample.data(), count, gain.data(), pool, options.poll);
      for (std::size_t j = 0; j < sample.size(); ++j) best.see(sample[j], gain[j]);
    }
    const auto chosen =
        std::find(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(count), best.index);
    *chosen = left.back();
    left.pop_back();
    if (!take(f, options, pool, out, best)) break;
  }
  return out;
}

}  // namespace albench
