#include "albench/similarity.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

namespace albench {
namespace {

// Rows packed at a time, a chunk deep, and at most a thread's: a panel of the queries is read for all of
// them, and they and a panel fit a second-level cache of half a megabyte.
constexpr Index kPackedRows = 24 * kMicroRows;
constexpr Index kFewestRows = 6 * kMicroRows;

// Where blocks of rows end: large ones first, so that queries are read seldom, and ever smaller ones, so that
// no thread waits long for the last.
std::vector<Index> block_ends(Index rows, int threads) {
  std::vector<Index> ends;
  for (Index end = 0; end < rows;) {
    const Index share = (rows - end) / (2 * threads) / kMicroRows * kMicroRows;
    end = std::min(rows, end + std::clamp(share, kFewestRows, kPackedRows));
    ends.push_back(end);
  }
  return ends;
}

bool by_distance(Metric metric) {
  return metric == Metric::euclidean || metric == Metric::rbf;
}

}  // namespace

QueryPanels::QueryPanels(const Features& queries, Metric metric, const double* scale, ThreadPool& pool)
    : metric_(metric),
      size_(queries.rows),
      dim_(queries.cols),
      panels_((queries.rows + kPanel - 1) / kPanel) {
  // dot puts the whole scale on the query side; the others, which also need scaled norms or differences, put
  // its root on both.
  if (scale != nullptr && metric != Metric::dot) {
    row_scale_.resize(static_cast<std::size_t>(dim_));
    for (Index k = 0; k < dim_; ++k)
      row_scale_[static_cast<std::size_t>(k)] = static_cast<float>(std::sqrt(scale[k]));
  }
  packed_.resize(static_cast<std::size_t>(panels_ * kPanel * dim_));
  std::vector<double> largest(static_cast<std::size_t>(panels_));
  std::vector<Buffer<float>> rows(static_cast<std::size_t>(pool.size()));
  BadRow bad(size_);
  pool.run(panels_, [&](Index panel, int worker) {
    largest[static_cast<std::size_t>(panel)] = pack(queries, metric == Metric::dot ? scale : nullptr, panel,
                                                    rows[static_cast<std::size_t>(worker)], bad);
  });
  bad.throw_if_any("Q");
  largest_norm_ = std::sqrt(*std::max_element(largest.begin(), largest.end()));
}

bool QueryPanels::fits(double squares) const {
  if (!std::isfinite(squares)) return false;
  // One part in a thousand covers the rounding of float32 products.
  constexpr double kMost = static_cast<double>(std::numeric_limits<float>::max()) / 1.001;
  if (metric_ == Metric::dot) return std::sqrt(squares) * largest_norm_ <= kMost;
  if (metric_ == Metric::cosine) return std::sqrt(squares) <= kMost && std::isfinite(inverse_norm(squares));
  return true;
}

float QueryPanels::inverse_norm(double squares) {
  return squares > 0.0 ? static_cast<float>(1.0 / std::sqrt(squares)) : 0.0F;
}

void QueryPanels::select(const QueryPanels& all, const std::vector<Index>& columns) {
  metric_ = all.metric_;
  size_ = static_cast<Index>(columns.size());
  dim_ = all.dim_;
  panels_ = (size_ + kPanel - 1) / kPanel;
  row_scale_ = all.row_scale_;
  packed_.resize(static_cast<std::size_t>(panels_ * kPanel * dim_));
  for (Index start = 0; start < dim_; start += kChunk) {
    const Index depth = std::min(kChunk, dim_ - start);
    for (Index panel = 0; panel < panels_; ++panel) {
      float* to = packed_.data() + start * panels_ * kPanel + panel * kPanel * depth;
      for (Index j = 0; j < kPanel; ++j) {
        // The last panel is filled up with copies of its last column.
        const Index column = columns[static_cast<std::size_t>(std::min(panel * kPanel + j, size_ - 1))];
        const float* from = all.packed_.data() + start * all.panels_ * kPanel +
                            (column / kPanel) * kPanel * depth + column % kPanel;
        for (Index k = 0; k < depth; ++k) to[k * kPanel + j] = from[k * kPanel];
      }
    }
  }
}

void QueryPanels::column(Index column, float* out) const {
  for (Index start = 0; start < dim_; start += kChunk) {
    const Index depth = std::min(kChunk, dim_ - start);
    const float* from =
        packed_.data() + start * panels_ * kPanel + (column / kPanel) * kPanel * depth + column % kPanel;
    for (Index k = 0; k < depth; ++k) out[start + k] = from[k * kPanel];
  }
}

void QueryPanels::load(const Features& x, Index row, Index from, Index to, float* out) const {
  x.load(row, from, to, out);
  if (row_scale_.empty()) return;
  for (Index k = from; k < to; ++k) out[k - from] *= row_scale_[static_cast<std::size_t>(k)];
}

double QueryPanels::squares(const Features& x, Index row, TileScratch& scratch) const {
  scratch.packed.resize(static_cast<std::size_t>(kRowStride));
  float* values = scratch.packed.data();
  double sum = 0.0;
  for (Index start = 0; start < dim_; start += kChunk) {
    const Index depth = std::min(kChunk, dim_ - start);
    load(x, row, start, start + depth, values);
    sum += kernels().sum_of_squares(values, depth);
  }
  return sum;
}

void QueryPanels::load_column(const Features& queries, const double* scale, Index column, Index from,
                              Index to, float* out) const {
  load(queries, column, from, to, out);
  if (scale == nullptr) return;
  for (Index k = from; k < to; ++k)
    out[k - from] = static_cast<float>(static_cast<double>(out[k - from]) * scale[k]);
}

double QueryPanels::pack(const Features& queries, const double* scale, Index panel, Buffer<float>& rows,
                         BadRow& bad) {
  const Index first = panel * kPanel;
  const Index count = std::min(kPanel, size_ - first);
  double factors[kPanel];
  double largest = 0.0;
  rows.resize(static_cast<std::size_t>(std::max(dim_, kPanel * kRowStride)));
  for (Index j = 0; j < count; ++j) {
    load_column(queries, scale, first + j, 0, dim_, rows.data());
    const double squares = kernels().sum_of_squares(rows.data(), dim_);
    if (!std::isfinite(squares)) bad.report(first + j);
    largest = std::max(largest, squares);
    factors[j] = squares > 0.0 ? 1.0 / std::sqrt(squares) : 0.0;
  }
  // Turned a chunk at a time, which stays in the second-level cache. What the last panel lacks is zero.
  std::fill(rows.data() + count * kRowStride, rows.data() + kPanel * kRowStride, 0.0F);
  for (Index start = 0; start < dim_; start += kChunk) {
    const Index depth = std::min(kChunk, dim_ - start);
    for (Index j = 0; j < count; ++j) {
      float* row = rows.data() + j * kRowStride;
      load_column(queries, scale, first + j, start, start + depth, row);
      if (metric_ == Metric::cosine)
        for (Index k = 0; k < depth; ++k)
          row[k] = static_cast<float>(static_cast<double>(row[k]) * factors[j]);
    }
    float* to = packed_.data() + start * panels_ * kPanel + panel * kPanel * depth;
    for (Index k = 0; k < depth; ++k)
      for (Index j = 0; j < kPanel; ++j) to[k * kPanel + j] = rows.data()[j * kRowStride + k];
  }
  return largest;
}

Index QueryPanels::tile(const Features& x, const Index* rows, Index count, Index from, Index to, float* out,
                        Index ldo, const float* row_norm, float* found_norm, TileScratch& scratch) const {
  const KernelTable& kernel = kernels();
  const auto product = by_distance(metric_) ? kernel.square_distance : kernel.dot;
  scratch.packed.resize(static_cast<std::size_t>(std::min(count, kPackedRows) * kRowStride));
  const bool need_squares = found_norm != nullptr || (metric_ == Metric::cosine && row_norm == nullptr);
  if (need_squares) scratch.squares.assign(static_cast<std::size_t>(count), 0.0);

  for (Index start = 0; start < dim_; start += kChunk) {
    const Index depth = std::min(kChunk, dim_ - start);
    const float* chunk = packed_.data() + start * panels_ * kPanel;
    // A panel meets all rows packed here before the next one is read: it then comes from the second-level
    // cache.
    for (Index block = 0; block < count; block += kPackedRows) {
      const Index in_block = std::min(kPackedRows, count - block);
      for (Index r = 0; r < in_block; ++r) {
        float* row = scratch.packed.data() + r * kRowStride;
        load(x, rows[block + r], start, start + depth, row);
        if (need_squares)
          scratch.squares[static_cast<std::size_t>(block + r)] += kernel.sum_of_squares(row, depth);
      }
      for (Index column = from; column < to; column += kPanel)
        product(scratch.packed.data(), in_block, chunk + column * depth, depth,
                out + block * ldo + column - from, ldo, std::min(kPanel, to - column), start > 0);
    }
  }

  Index bad = count;
  for (Index r = 0; r < count; ++r) {
    float factor = 1.0F;
    if (need_squares) {
      factor = inverse_norm(scratch.squares[static_cast<std::size_t>(r)]);
      if (found_norm != nullptr) found_norm[r] = factor;
    }
    if (row_norm != nullptr) factor = row_norm[r];
    float* s = out + r * ldo;
    const Index n = to - from;
    if (metric_ == Metric::cosine) {
      kernel.scale(s, factor, n);
    } else if (metric_ == Metric::rbf) {
      const float scale = -1.0F / static_cast<float>(dim_);
      for (Index j = 0; j < n; ++j) s[j] = std::exp(scale * s[j]);
    } else if (metric_ == Metric::euclidean) {
      const float scale = -1.0F / static_cast<float>(dim_);
      for (Index j = 0; j < n; ++j) s[j] = std::exp(scale * std::sqrt(s[j]));
    }
    if (found_norm == nullptr || bad < count) continue;
    const double squares = scratch.squares[static_cast<std::size_t>(r)];
    if (!fits(squares) && !(std::isfinite(squares) && all_finite(s, n))) bad = r;
  }
  return bad;
}

void similarity(const Features& x, const QueryPanels& queries, float* out, ThreadPool& pool,
                const Poll& poll) {
  const Index q = queries.size();
  std::vector<TileScratch> scratch(static_cast<std::size_t>(pool.size()));
  std::vector<Index> rows(static_cast<std::size_t>(x.rows));
  std::iota(rows.begin(), rows.end(), Index{0});
  BadRow bad(x.rows);
  touch(out, static_cast<std::size_t>(x.rows * q) * sizeof(float), pool);
  const std::vector<Index> ends = block_ends(x.rows, pool.size());
  pool.run(
      static_cast<Index>(ends.size()),
      [&](Index task, int worker) {
        const Index begin = task > 0 ? ends[static_cast<std::size_t>(task - 1)] : 0;
        const Index count = ends[static_cast<std::size_t>(task)] - begin;
        float norms[kPackedRows];
        const Index at = queries.tile(x, rows.data() + begin, count, 0, q, out + begin * q, q, nullptr, norms,
                                      scratch[static_cast<std::size_t>(worker)]);
        if (at < count) bad.report(begin + at);
      },
      poll);
  bad.throw_if_any("X");
}

}  // namespace albench
