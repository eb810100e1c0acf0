// What an optimiser knows of a set function.
#pragma once

#include <vector>

#include "albench/parallel.hpp"
#include "albench/types.hpp"

namespace albench {

class SetFunction {
 public:
  virtual ~SetFunction() = default;

  virtual Index size() const = 0;

  // True where no gain ever rises while the set grows (submodularity): what lazy evaluation rests on.
  virtual bool diminishing() const = 0;

  // Empties the set.
  virtual void reset(ThreadPool& pool, const Poll& poll) = 0;

  // Exact gains of `count` candidates, out[j] = f(A + rows[j]) - f(A).
  virtual void gains(const Index* rows, Index count, double* out, ThreadPool& pool, const Poll& poll) = 0;

  // Upper bounds on the gains of all candidates, known without work after reset; out has size() places.
  virtual void start_bounds(double* out) const = 0;

  // Gains as far as they matter: on entry out[j] is an upper bound on the gain of rows[j], and so it is on
  // return, with this added: whatever is >= threshold and is the largest of all out (ties included) is the
  // exact gain, the bits `gains` would give.
  virtual void refine(const Index* rows, Index count, double threshold, double* out, ThreadPool& pool,
                      const Poll& poll) {
    (void)threshold;
    gains(rows, count, out, pool, poll);
  }

  // Many calls of `refine` on the whole ground set are to come: the function may make what speeds them up. To
  // be called while the set is empty.
  virtual void expect_refine(ThreadPool& pool, const Poll& poll) {
    (void)pool;
    (void)poll;
  }

  // How far the bits of a current gain may lie above an older one, as a factor >= 1 (rounding only).
  virtual double bound_factor() const { return 1.0; }

  virtual void commit(Index row, ThreadPool& pool) = 0;

  // f of any set, from its definition and without touching the memo. Repeated members count once.
  virtual double evaluate(const Index* rows, Index count) = 0;
};

// The value of a set is at most what its members gain alone, added up: that has to fit double with room for
// rounding.
inline void require_representable(const std::vector<double>& start) {
  double sum = 0.0;
  for (const double gain : start) sum += std::fabs(gain);
  if (!(sum <= 1e300))
    throw InputError(
        "weights", "weights and factors whose products with similarities add up to at most 1e300", text(sum));
}

}  // namespace albench
