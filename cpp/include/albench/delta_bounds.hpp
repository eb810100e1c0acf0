// Bounds where similarities have to be computed again to be looked at.
//
// A commit raises the memo of some columns: many at first, about q / t in step t. To bring a row's gain up to
// date only the columns that changed since it was last looked at are needed:
//     gain now = gain then - sum_c w_c (min(max(s_c, memo then), memo now) - memo then).
// So the changed columns are packed afresh, rows are sorted by how old they are (the columns of a younger row
// are a prefix of those of an older one), and the products run in blocks at matrix speed. The subtraction
// rounds, so what comes out is an upper bound with a slack of about q units in the last place; the few rows
// that reach the best candidate are then computed from scratch. On Gaussian features this needs less than
// half the products of re-evaluating whole rows.
#pragma once

#include <cstdint>
#include <vector>

#include "albench/gain_bounds.hpp"

namespace albench {

class DeltaBounds : public GainBounds {
 public:
  // The source has to be one of features.
  explicit DeltaBounds(const FacilityState& state);

  void store(Index, Index, const float*) override {}
  void reset() override;
  void committed(const std::vector<MemoChange>& changes) override;
  void lower(const Index* rows, const std::vector<Index>& which, double* out, ThreadPool& pool,
             const Poll& poll) override;
  void computed(Index row) override { seen_[static_cast<std::size_t>(row)] = time_; }

 private:
  struct Worker {
    TileScratch tile;
    std::vector<float> low;
    std::vector<Index> rows;
  };

  Index columns_since(std::uint32_t time) const { return newer_[time]; }
  void order_columns(std::uint32_t oldest);
  void lower_block(const Index* rows, const Index* which, Index count, double* out, Worker& worker) const;

  FacilityState state_;
  double slack_;
  std::uint32_t time_ = 0;
  std::vector<std::uint32_t> seen_;           // (n,) time of a row's bound
  std::vector<std::uint32_t> last_;           // (q,) time of a column's last change
  std::vector<std::vector<MemoChange>> log_;  // log_[t - 1]: what commit t changed
  std::vector<Index> newer_;                  // newer_[t]: number of columns changed after t
  std::vector<Index> place_;                  // (q,) place of a column in the selection
  QueryPanels selection_;
  std::vector<float> high_;  // memo of the selection
  std::vector<double> selected_weights_;
  std::vector<Worker> workers_;
};

}  // namespace albench
