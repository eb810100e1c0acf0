// Greedy maximisation under a cardinality constraint.
#pragma once

#include <functional>
#include <vector>

#include "albench/set_function.hpp"

namespace albench {

enum class Optimizer { naive, lazy };

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
  Progress progress;              // may be empty
  Poll poll;
};

// Starts from the empty set (resets f) and leaves the choice committed in f. Ties go to the lowest index.
Selection maximize(SetFunction& f, const GreedyOptions& options, ThreadPool& pool);

}  // namespace albench
