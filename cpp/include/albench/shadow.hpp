// A 16-bit copy of similarities, rounded up: gains bounded from above at a fraction of the memory traffic.
//
// Similarities are stored in units of 2^-15 of the largest possible one, weights in 10 bits, both rounded up,
// and the memo rounded down, so the integer sum times the units is an upper bound on the gain, never less.
// Only rows whose bound reaches the best candidate are computed exactly.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "albench/types.hpp"

namespace albench {

class Shadow {
 public:
  // `rows` rows of `cols` similarities, none above `largest`.
  Shadow(Index rows, Index cols, double largest, const std::vector<double>& weights);

  static Index bytes_per_row(Index cols) { return padded(cols) * 2; }
  Index rows() const { return rows_; }
  bool holds(Index row) const { return row < rows_ && stored_[static_cast<std::size_t>(row)] != 0; }
  void store(Index row, const float* s);  // different rows may be stored by different threads
  void clear_memo();
  void raise_memo(Index column, float value);

  // Upper bound on sum_c w_c max(s_c - memo_c, 0) of a row that is held.
  double rise(Index row) const;
  void prefetch(Index row) const;

 private:
  static Index padded(Index cols) { return (cols + 31) / 32 * 32; }

  Index rows_;
  Index cols_;
  Index stride_;
  double unit_;  // value of one quantum of similarity times one of weight
  float inverse_unit_;
  std::unique_ptr<std::uint16_t[]> values_;  // left uninitialised: pages are touched as rows are stored
  std::vector<std::uint8_t> stored_;
  std::vector<std::uint16_t> memo_;
  std::vector<std::int16_t> weights_;
};

}  // namespace albench
