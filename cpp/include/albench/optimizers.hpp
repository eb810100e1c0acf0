// Greedy maximisation under a cardinality constraint.
#pragma once

#include <functional>
#include <vector>

#include "albench/set_function.hpp"

namespace albench {

// naive: every candidate in every step. lazy (Minoux 1978): the same choice from bounds. stochastic
// (Mirzasoleiman et al., AAAI 2015): a fresh uniform sample of the candidates in every step. lazier: the same
// samples, evaluated through bounds, hence the same choice as stochastic.
enum class Optimizer { naive, lazy, stochastic, lazier };

struct Selection {
  std::vector<Index> indices;  // in order of choice
  std::vector<double> gains;   // gain of each at the time it was chosen
};

// Hears of every choice (how many so far, index, gain); false ends the run with what has been chosen.
using Progress = std::function<bool(Index, Index, double)>;

struct GreedyOptions {
  Optimizer optimizer = Optimizer::lazy;
  Index budget = 0;
  std::vector<Index> candidates;  // ascending, without repeats
  double epsilon = 0.01;          // stochastic, lazier: samples of (n / budget) ln(1 / epsilon)
  std::uint64_t seed = 0;
  Progress progress;  // may be empty
  Poll poll;
};

// Starts from the empty set (resets f) and leaves the choice committed in f. Ties go to the lowest index.
Selection maximize(SetFunction& f, const GreedyOptions& options, ThreadPool& pool);

// One entry per optimiser, each expecting a function that has been reset.
Selection naive_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool);
Selection lazy_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool);
Selection sampled_greedy(SetFunction& f, const GreedyOptions& options, ThreadPool& pool);

// The best candidate seen so far; of equals the one with the lowest index. A gain that is no number stays.
struct Best {
  Index index = -1;
  double gain = 0.0;
  void see(Index i, double g) {
    if (index < 0 || g > gain || (g == gain && i < index) || std::isnan(g)) index = i, gain = g;
  }
  // Borrowed similarities may have changed since they were looked at first.
  void require_finite() const {
    if (index < 0 || !std::isfinite(gain))
      throw InputError("f", "similarities that stay finite and whose sums fit double precision",
                       "a gain of " + text(gain) + " for element " + std::to_string(index));
  }
};

// The choice so far: commits, records, reports. False if the caller asked to stop.
bool take(SetFunction& f, const GreedyOptions& options, ThreadPool& pool, Selection& out, const Best& best);

}  // namespace albench
