#include "albench/rivals.hpp"

#include "albench/bounds.hpp"

namespace albench {

std::vector<Index> rivals(FacilityLocation& f, const GreedyRun& run, double margin, Index most_close,
                          ThreadPool& pool, const Poll& poll) {
  f.reset(pool, poll);
  f.expect_refine(pool, poll);
  Bounds bounds(f.size());
  {
    std::vector<double> start(static_cast<std::size_t>(f.size()));
    f.start_bounds(start.data());
    for (Index i = 0; i < f.size(); ++i) bounds.set(i, start[static_cast<std::size_t>(i)]);
    for (const Index i : run.members) bounds.set(i, Bounds::kRemoved);
    bounds.settle_all();
  }
  std::vector<Index> found;
  std::vector<Index> batch;
  std::vector<Index> close;
  std::vector<double> gain;
  for (std::size_t step = 0; step < run.gains.size(); ++step) {
    const double beaten = run.gains[step];
    const double least = most_close > 0 ? beaten * (1.0 - margin) : beaten;
    bounds.reaching(least, batch, pool);
    gain.resize(batch.size());
    for (std::size_t j = 0; j < batch.size(); ++j) gain[j] = bounds[batch[j]];
    f.refine(batch.data(), static_cast<Index>(batch.size()), least, gain.data(), pool, poll);
    close.clear();
    for (std::size_t j = 0; j < batch.size(); ++j) {
      bounds.set(batch[j], gain[j]);
      if (gain[j] >= least) close.push_back(batch[j]);
    }
    // `refine` computes no more than it needs to know the largest.
    gain.resize(close.size());
    if (!close.empty()) f.gains(close.data(), static_cast<Index>(close.size()), gain.data(), pool, poll);
    for (std::size_t j = 0; j < close.size(); ++j) {
      const bool beats = gain[j] > beaten || (gain[j] == beaten && close[j] < run.ties_below[step]);
      const bool found_now = gain[j] >= least && (beats || most_close > 0);
      bounds.set(close[j], found_now ? Bounds::kRemoved : gain[j]);
      if (!found_now) continue;
      found.push_back(close[j]);
      if (!beats) --most_close;
    }
    for (const Index i : batch) bounds.settle(i);
    f.cover(run.rows + static_cast<Index>(step) * f.columns());
  }
  f.reset(pool, poll);
  return found;
}

}  // namespace albench
