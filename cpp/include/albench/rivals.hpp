// Which candidates would change a run of greedy that was made without them.
#pragma once

#include <vector>

#include "albench/facility_location.hpp"

namespace albench {

// Greedy over other candidates, step by step.
struct GreedyRun {
  const float* rows;              // (steps, q) similarities of what was chosen
  std::vector<double> gains;      // (steps,) and their gains
  std::vector<Index> ties_below;  // (steps,) a candidate of an equal gain comes first if its index is less
  std::vector<Index> members;     // candidates of f that took part in the run
};

// Candidates of f, not members, that in some step t would have been chosen instead: gain given the first
// t - 1 choices above that of choice t, or equal with a tie that is theirs. Greedy over all candidates makes
// the run's choices exactly where there are none. Besides, up to `most_close` that come within `margin` of
// choice t: the next run, whose choices differ, may want them. In order of the steps; f is left reset.
std::vector<Index> rivals(FacilityLocation& f, const GreedyRun& run, double margin, Index most_close,
                          ThreadPool& pool, const Poll& poll);

}  // namespace albench
