// Features once more, in small integers: products of them cost a fraction of products of floats.
//
// A row is x = step * (whole numbers within +-127) + rest, a column the same within +-63; steps are as small
// as the largest number and the sums of kernels().coarse_dot allow. How far a product is from that of the
// floats is for the user to measure.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "albench/buffer.hpp"
#include "albench/kernels.hpp"
#include "albench/source.hpp"

namespace albench {

// Columns side by side, as kernels().coarse_dot reads them.
struct CoarsePanels {
  Index size = 0;
  Buffer<std::uint8_t> packed;
  std::vector<float> factors;  // (size,) a column's step
};

class CoarseFeatures {
 public:
  // For rows [first, source.rows()) of a source of features with linear similarities. Columns are made here,
  // rows by `make`.
  CoarseFeatures(const Source& source, Index first);
  static bool supports(const Source& source);
  static Index bytes_per_row(Index dim) { return stride_of(dim); }

  // Threads may make different rows.
  void make(Index row, Buffer<float>& features);
  // What makes similarities of a row of its products and the columns' factors; not finite where the row's
  // features are too large for that.
  float factor(Index row) const {
    float value;
    std::memcpy(&value, at(row) + stride_ - sizeof value, sizeof value);
    return value;
  }

  // Fills `out` with the given columns in the given order.
  void select(const std::vector<Index>& columns, CoarsePanels& out) const;
  const CoarsePanels& all() const { return all_; }
  // Products of `count` rows and the first `cols` of the panels' columns, ldo apart in `out`; `packed` is for
  // rows that do not lie together.
  void products(const Index* rows, Index count, const CoarsePanels& panels, Index cols, std::int32_t* out,
                Index ldo, Buffer<std::int8_t>& packed) const;
  void prefetch(Index row) const;

 private:
  static Index depth_of(Index dim) { return (dim + kQuad - 1) / kQuad * kQuad; }
  // Numbers, their sums, the factor.
  static Index stride_of(Index dim) {
    return depth_of(dim) + (dim + kCoarseRun - 1) / kCoarseRun * kQuad + static_cast<Index>(sizeof(float));
  }
  const std::int8_t* at(Index row) const { return rows_.data() + (row - first_) * stride_; }
  void set_factor(Index row, float factor) {
    std::memcpy(rows_.data() + (row - first_ + 1) * stride_ - sizeof factor, &factor, sizeof factor);
  }

  const Source& source_;
  Index first_;
  Index dim_;
  Index depth_;
  Index stride_;
  Buffer<std::int8_t> rows_;
  Buffer<std::uint8_t> columns_;       // (q, depth_)
  std::vector<float> column_factors_;  // (q,)
  CoarsePanels all_;
};

}  // namespace albench
