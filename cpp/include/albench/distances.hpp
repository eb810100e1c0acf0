// Selection by distances between feature rows: k-centre greedy and k-means++ seeding.
#pragma once

#include <vector>

#include "albench/features.hpp"
#include "albench/parallel.hpp"
#include "albench/types.hpp"

namespace albench {

// Farthest-first traversal (Gonzalez 1985; CoreSet of Sener and Savarese, ICLR 2018): each step takes the row
// farthest from everything taken so far and from the centres given at the start. `centres` are features,
// `taken` indices of rows that count as centres and are never chosen. Within twice the optimal radius.
// Without any centre the first choice is row 0: all rows are equally far from nothing.
std::vector<Index> kcenter_greedy(const Features& x, Index budget, const Features* centres,
                                  const std::vector<Index>& taken, ThreadPool& pool, const Poll& poll);

// k-means++ seeding (Arthur and Vassilvitskii, SODA 2007) as BADGE uses it (Ash et al., ICLR 2020): first the
// row of largest norm, then rows drawn with probability proportional to the squared distance to the nearest
// taken row. Where every remaining row coincides with a taken one, the lowest index.
std::vector<Index> kmeans_plusplus(const Features& x, Index budget, std::uint64_t seed, ThreadPool& pool,
                                   const Poll& poll);

}  // namespace albench
