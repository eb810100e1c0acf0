// Bounds where similarities have to be computed again to be looked at.
//
// Of a row only the columns that changed since it was last looked at are multiplied again:
//     gain now = gain then - sum_c w_c (min(max(s_c, memo then), memo now) - memo then).
// The subtraction rounds, so what comes out is an upper bound with a slack of about q units in the last
// place; the few rows that reach the best candidate are then computed from scratch. On Gaussian features this
// needs less than half the products of re-evaluating whole rows.
#pragma once

#include <cstdint>
#include <vector>

#include "albench/changed_columns.hpp"
#include "albench/gain_bounds.hpp"

namespace albench {

class DeltaBounds : public GainBounds {
 public:
  // The source has to be one of features.
  explicit DeltaBounds(const FacilityState& state);

  void store(Index, Index, const float*, TileScratch&) override {}
  void reset() override;
  void committed(const std::vector<MemoChange>& changes) override { changed_.committed(changes); }
  void lower(const Index* rows, const std::vector<Index>& which, double threshold, double* out,
             ThreadPool& pool, const Poll& poll) override;
  // Any bound on the gain of now will do.
  void computed(Index row) override { seen_[static_cast<std::size_t>(row)] = changed_.time(); }

 private:
  struct Worker {
    TileScratch tile;
    std::vector<float> low;
    std::vector<Index> rows;
  };

  void lower_block(const Index* rows, const Index* which, Index count, double* out, Worker& worker);

  FacilityState state_;
  double slack_;
  ChangedColumns changed_;
  std::vector<std::uint32_t> seen_;  // (n,) time of a row's bound
  QueryPanels selection_;
  std::vector<double> selected_weights_;
  std::vector<Worker> workers_;
};

}  // namespace albench
