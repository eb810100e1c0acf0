// Bounds from features in small integers, where similarities are not held.
//
// When a row's similarities s are computed for the first time, so are those of its coarse features, v, and
// the offset o of the row that makes v + o at least s in every column. What the row gains if v + o are its
// similarities is an upper bound on its gain; it is brought up to date from the columns that changed since,
// as DeltaBounds do, with products at a fraction of the cost, and its slack falls with the columns that still
// count: from o times half of all columns at first to o times a few.
#pragma once

#include <cstdint>
#include <vector>

#include "albench/changed_columns.hpp"
#include "albench/coarse_features.hpp"
#include "albench/delta_bounds.hpp"
#include "albench/gain_bounds.hpp"

namespace albench {

class CoarseBounds : public GainBounds {
 public:
  // For rows from `first` on, a multiple of kLanesOfBlock.
  CoarseBounds(const FacilityState& state, Index first);
  static Index bytes_per_row(Index dim) {
    return CoarseFeatures::bytes_per_row(dim) + static_cast<Index>(sizeof(Row) + sizeof(std::uint32_t));
  }

  void touch(ThreadPool& pool) override { features_.touch(pool); }
  void store(Index first, Index count, const float* s, TileScratch& scratch) override;
  void reset() override;
  void committed(const std::vector<MemoChange>& changes) override;
  void lower(const Index* rows, const std::vector<Index>& which, double threshold, double* out,
             ThreadPool& pool, const Poll& poll) override;
  void computed(Index row) override { others_.computed(row); }
  // Whether offsets are small beside what gains differ by, told from some rows.
  bool promising() const;

 private:
  struct Row {
    double bound;  // of the row's gain, as of when it was seen
    float start;   // of the empty set, in units, without what is modular
    float offset;
  };
  struct Worker {
    TileScratch tile;
    std::vector<float> low;
    Buffer<std::int8_t> packed;
  };

  // From a row's similarities, or what is no smaller, and its coarse ones; of its bound nothing.
  Row first_look(const float* s, const std::int32_t* products, float factor) const;
  void lower_coarse(const Index* rows, const std::vector<Index>& which, double* out, ThreadPool& pool,
                    const Poll& poll);
  void lower_block(const Index* rows, const Index* which, Index count, double* out, Worker& worker);
  std::size_t place(Index row) const { return static_cast<std::size_t>(row - first_); }

  FacilityState state_;
  Index first_;
  CoarseFeatures features_;
  ChangedColumns changed_;
  // For rows of a look of which most stay undecided.
  DeltaBounds others_;
  double unit_ = 1.0;           // the largest weight, which weights_ are relative to
  std::vector<float> weights_;  // (q,) rounded up, or empty for ones
  std::vector<float> start_memo_;
  std::vector<float> most_;  // (q,) the largest similarity of a column
  // The memo as far as bounds know of it: a rise below the step, which is about what offsets are, has to wait
  // until others have added to it. It would lower bounds by little, and its column would be multiplied again.
  std::vector<float> memo_;
  float memo_step_ = 0.0F;
  std::vector<Row> rows_;
  std::vector<std::uint32_t> seen_;
  CoarsePanels selection_;
  std::vector<float> selected_weights_;
  std::vector<Worker> workers_;
};

}  // namespace albench
