// Upper bounds on facility-location gains that are cheaper to bring up to date than the gains themselves.
//
// A gain never rises while the set grows, so an old one bounds it; what commits took from it since then can
// be bounded without looking at the whole row. Bounds are rigorous in floating point: whichever are used, or
// none, lazy greedy chooses the same, bit for bit.
#pragma once

#include <memory>
#include <vector>

#include "albench/source.hpp"

namespace albench {

struct MemoChange {  // what a commit does to a column
  Index column;
  float before;
  float after;
};

// What a facility location knows and its bounds borrow.
struct FacilityState {
  const Source& source;
  const std::vector<double>& weights;  // (q,) or empty for ones
  const std::vector<double>& modular;  // (n,) at least what is part of a row's gain whatever the memo
  const std::vector<float>& memo;      // (q,)
};

class GainBounds {
 public:
  virtual ~GainBounds() = default;

  // Brings in the memory that `store` writes to.
  virtual void touch(ThreadPool&) {}
  // The similarities of rows [first, first + count), or what is no smaller, s (count, q), all rows before the
  // first `reset`; first is a multiple of kLanesOfBlock, count one too or up to the last row. Threads may
  // store different blocks.
  virtual void store(Index first, Index count, const float* s, TileScratch& scratch) = 0;
  // Back to the empty set. Its memo, of columns covered from the start, is that at construction.
  virtual void reset() = 0;
  // The memo has just changed in these columns.
  virtual void committed(const std::vector<MemoChange>& changes) = 0;
  // Lowers out[j], an upper bound on the gain of rows[j], for j in `which`, as far as that is cheap and helps
  // to bring it below the threshold.
  virtual void lower(const Index* rows, const std::vector<Index>& which, double threshold, double* out,
                     ThreadPool& pool, const Poll& poll) = 0;
  // The gain of this row has just been computed exactly.
  virtual void computed(Index row) = 0;
};

// The bounds that `bytes` allow. Null for a matrix whose bounds do not fit as a whole: its rows are there to
// be looked at.
std::unique_ptr<GainBounds> make_gain_bounds(const FacilityState& state, Index bytes, ThreadPool& pool);

}  // namespace albench
