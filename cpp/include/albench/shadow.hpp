// A 16-bit copy of similarities, rounded up, and with it an upper bound on every gain that is always up to
// date.
//
// Similarities are stored in units of 2^-15 of the largest possible one, weights in 10 bits, both rounded up,
// and the memo rounded down, so an integer sum times the units bounds a gain from above, never below. A
// commit raises the memo of some columns, many at first, about q / t in step t, so all rows together cost
// only a few passes over the copy in a whole run. Blocks of 32 rows are laid out column by column: a changed
// column is one cache line.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "albench/kernels.hpp"
#include "albench/parallel.hpp"
#include "albench/types.hpp"

namespace albench {

class Shadow {
 public:
  // `rows` rows of `cols` similarities, none above `largest`; modular: (rows,) what is added to each bound,
  // borrowed.
  Shadow(Index rows, Index cols, double largest, const std::vector<double>& weights, const double* modular);

  static Index bytes_per_row(Index cols) { return cols * 2; }
  Index rows() const { return rows_; }

  // Rows [first, first + count) from s (count, cols); first a multiple of 32, count one too or up to the last
  // row. Different blocks may be stored by different threads.
  void store(Index first, Index count, const float* s);

  // Back to the gains of the empty set.
  void reset();

  // The memo of columns rises, from -> to; pending until `settle` brings all bounds up to date.
  void raise(Index column, float from, float to);
  void settle(ThreadPool& pool);

  // (rows,) upper bounds on the gains.
  const std::vector<double>& bounds() const { return bounds_; }

 private:
  std::uint16_t memo_quanta(float value) const;
  void refresh(Index block);

  Index rows_;
  Index cols_;
  Index blocks_;
  double unit_ = 1.0;  // value of one quantum of similarity times one of weight
  float inverse_unit_ = 1.0F;
  const double* modular_;
  std::unique_ptr<std::uint16_t[]> values_;  // left uninitialised: pages are touched as rows are stored
  std::vector<std::uint32_t> weights_;
  std::vector<std::int64_t> start_;  // gains of the empty set, in quanta
  std::vector<std::int64_t> gains_;
  std::vector<double> bounds_;
  std::vector<QuantumChange> changes_;
  std::vector<QuantumChange> everything_;  // all columns, from nothing to the largest quantum
};

}  // namespace albench
