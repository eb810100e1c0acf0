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
#include "albench/coarse_rows.hpp"
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

  // Brings in the memory of all rows.
  void touch(ThreadPool& pool) { rows_.touch(pool); }
  // Writes a row's numbers, bytes_per_row(dim) of them, to `to`: `place` of the row, or elsewhere. Threads
  // may make different rows.
  void make(Index row, Buffer<float>& features, std::int8_t* to) const;
  std::int8_t* place(Index row) { return rows_.data() + (row - first_) * stride_; }
  // What makes similarities of a row that was made there of its products and the columns' factors; not finite
  // where the row's features are too large for that.
  float factor(const std::int8_t* made) const {
    float value;
    std::memcpy(&value, made + stride_ - sizeof value, sizeof value);
    return value;
  }
  float factor(Index row) const { return factor(at(row)); }

  // Fills `out` with the given columns in the given order.
  void select(const std::vector<Index>& columns, CoarsePanels& out) const;
  const CoarsePanels& all() const { return all_; }
  // Products of `count` rows and the first `cols` of the panels' columns, ldo apart in `out`; `packed` is for
  // rows that do not lie together.
  void products(const Index* rows, Index count, const CoarsePanels& panels, Index cols, std::int32_t* out,
                Index ldo, Buffer<std::int8_t>& packed) const;
  // Of rows that were made one after another.
  void products(const std::int8_t* made, Index count, const CoarsePanels& panels, Index cols,
                std::int32_t* out, Index ldo) const;
  void prefetch(Index row) const;

 private:
  static Index depth_of(Index dim) { return (dim + kQuad - 1) / kQuad * kQuad; }
  static Index stride_of(Index dim) {
    return coarse_row_bytes(depth_of(dim)) + static_cast<Index>(sizeof(float));  // the factor comes last
  }
  const std::int8_t* at(Index row) const { return rows_.data() + (row - first_) * stride_; }

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
