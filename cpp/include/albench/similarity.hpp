// Similarities of feature rows to query rows, tile by tile.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "albench/buffer.hpp"
#include "albench/features.hpp"
#include "albench/kernels.hpp"
#include "albench/parallel.hpp"
#include "albench/types.hpp"

namespace albench {

inline bool all_finite(const float* s, Index n) {
  return std::all_of(s, s + n, [](float value) { return std::isfinite(value); });
}

// Reports the lowest row that was found to hold NaN or infinity; any thread may call `report`.
class BadRow {
 public:
  explicit BadRow(Index none) : row_(none), none_(none) {}
  void report(Index row) {
    Index seen = row_.load();
    while (row < seen && !row_.compare_exchange_weak(seen, row)) {
    }
  }
  void throw_if_any(const std::string& argument) const {
    if (row_.load() < none_)
      throw InputError(argument, "finite values within float32, also when scaled and multiplied",
                       "NaN or infinity in row " + std::to_string(row_.load()));
  }

 private:
  std::atomic<Index> row_;
  Index none_;
};

enum class Metric { cosine, dot, euclidean, rbf };

// Private working memory of one thread.
struct TileScratch {
  Buffer<float> packed;           // rows of a chunk, kRowStride apart
  std::vector<double> squares;    // per row of the tile: sum of scaled squares
  std::vector<float> factors;     // per row of the tile
  Buffer<float> values;           // a tile of similarities, for whoever reads it
  Buffer<std::int32_t> products;  // a tile of products of coarse features
  Buffer<std::int16_t> numbers;   // rows of fine features
};

// The query side of a product, packed once: chunk by chunk, panel by panel, so that the micro-kernel reads it
// in one stream. Metrics (d features, scale sigma, all ones if not given):
//   cosine     sum sigma x q / sqrt(sum sigma x^2 sum sigma q^2); 0 where a vector is zero
//   dot        sum sigma x q
//   euclidean  exp(-D / d), rbf exp(-D^2 / d), with D^2 = sum sigma (x - q)^2
class QueryPanels {
 public:
  QueryPanels(const Features& queries, Metric metric, const double* scale, ThreadPool& pool);

  Index size() const { return size_; }
  Index dim() const { return dim_; }
  // Whether similarities are products of features, times one factor a row.
  bool linear() const { return metric_ == Metric::cosine || metric_ == Metric::dot; }
  bool normalised() const { return metric_ == Metric::cosine; }
  // Features (dim,) of a column, as they are multiplied.
  void column(Index column, float* out) const;
  // And of a row of X.
  void load(const Features& x, Index row, float* out) const { load(x, row, 0, dim_, out); }

  // Fills this with the given columns of `all`, in the given order; buffers are reused between calls.
  void select(const QueryPanels& all, const std::vector<Index>& columns);

  // Sum of the scaled squares of a row; not finite where a value is not.
  double squares(const Features& x, Index row, TileScratch& scratch) const;
  static float inverse_norm(double squares);
  // Whether similarities of a row with these squares are finite; its norm may be too small to divide by.
  bool fits(double squares) const;

  // Similarities of `count` rows of X to query columns [from, to), `from` a multiple of kPanel; out has row
  // stride ldo. `row_norm`, where given, takes the factor of each row from an earlier call (cosine: 1 /
  // norm). Where `found_norm` is given it receives those factors. Comes back with the place in `rows` of the
  // first row that is not finite or whose similarities are not, as far as found_norm has that looked at; else
  // with count.
  Index tile(const Features& x, const Index* rows, Index count, Index from, Index to, float* out, Index ldo,
             const float* row_norm, float* found_norm, TileScratch& scratch) const;

  // An empty selection, to be filled by `select`.
  QueryPanels() = default;

 private:
  // Features [from, to) of a row of X, as they are multiplied but for its norm.
  void load(const Features& x, Index row, Index from, Index to, float* out) const;
  // And of a column, `scale` included; not yet divided by its norm.
  void load_column(const Features& queries, const double* scale, Index column, Index from, Index to,
                   float* out) const;
  // Packs panel `panel`, whose rows pass through `rows`; returns the largest sum of squares among them.
  double pack(const Features& queries, const double* scale, Index panel, Buffer<float>& rows, BadRow& bad);

  Metric metric_ = Metric::dot;
  Index size_ = 0;
  Index dim_ = 0;
  Index panels_ = 0;
  double largest_norm_ = 0.0;
  Buffer<float> packed_;
  std::vector<float> row_scale_;  // what a row's features are multiplied by on loading; empty: nothing
};

// S[i, j] for all rows, written to out (n, q) row-major.
void similarity(const Features& x, const QueryPanels& queries, float* out, ThreadPool& pool,
                const Poll& poll);

}  // namespace albench
