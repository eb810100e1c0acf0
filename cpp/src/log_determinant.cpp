#include "albench/log_determinant.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace albench {
namespace {

// Lower Cholesky factor in place of a symmetric (n, n) matrix; returns the pivot that failed, or -1.
Index cholesky(std::vector<double>& a, Index n) {
  const auto at = [&](Index i, Index j) -> double& { return a[static_cast<std::size_t>(i * n + j)]; };
  for (Index j = 0; j < n; ++j) {
    for (Index k = 0; k < j; ++k) at(j, j) -= at(j, k) * at(j, k);
    if (!(at(j, j) > 0.0)) return j;
    at(j, j) = std::sqrt(at(j, j));
    for (Index i = j + 1; i < n; ++i) {
      for (Index k = 0; k < j; ++k) at(i, j) -= at(i, k) * at(j, k);
      at(i, j) /= at(j, j);
    }
  }
  return -1;
}

double log_determinant(std::vector<double> a, Index n) {
  const Index failed = cholesky(a, n);
  if (failed >= 0) throw InputError("ground", "a positive semidefinite kernel", "one that is not");
  double sum = 0.0;
  for (Index i = 0; i < n; ++i) sum += 2.0 * std::log(a[static_cast<std::size_t>(i * n + i)]);
  return sum;
}

}  // namespace

QueryPanels GroundKernel::panel_of(Index j) const {
  Features one = x_;
  one.data += j * x_.row_stride;
  one.rows = 1;
  ThreadPool alone(1);
  return {one, metric_, scale_.empty() ? nullptr : scale_.data(), alone};
}

void GroundKernel::column(Index j, float* out, ThreadPool& pool) const {
  if (dense_ != nullptr) {
    // The kernel is symmetric, and a row is contiguous.
    std::copy_n(dense_ + j * n_, n_, out);
    return;
  }
  similarity(x_, panel_of(j), out, pool, Poll());
}

float GroundKernel::diagonal(Index i, TileScratch& scratch) const {
  if (dense_ != nullptr) return dense_[i * n_ + i];
  float value = 0.0F;
  panel_of(i).tile(x_, &i, 1, 0, 1, &value, 1, nullptr, nullptr, scratch);
  return value;
}

LogDeterminant::LogDeterminant(GroundKernel ground, const Source& between, const float* queries, double eta,
                               double regularization, ThreadPool& pool, const Poll& poll)
    : ground_(std::move(ground)),
      q_(between.cols()),
      eta_(eta),
      regularization_(regularization),
      whitened_(static_cast<std::size_t>(ground_.size() * between.cols())),
      start_free_(static_cast<std::size_t>(ground_.size())),
      start_given_(static_cast<std::size_t>(ground_.size())) {
  std::vector<double> factor(queries, queries + q_ * q_);
  for (Index c = 0; c < q_; ++c) factor[static_cast<std::size_t>(c * q_ + c)] += regularization_;
  const Index failed = cholesky(factor, q_);
  if (failed >= 0)
    throw InputError("queries", "a positive semidefinite kernel",
                     "one that is not (row " + std::to_string(failed) + ")");
  const Index n = ground_.size();
  constexpr Index kBlock = 32;
  const Index tasks = (n + kBlock - 1) / kBlock;
  std::vector<TileScratch> scratch(static_cast<std::size_t>(pool.size()));
  BadRow bad(n);
  pool.run(
      tasks,
      [&](Index task, int worker) {
        std::vector<float> s(static_cast<std::size_t>(q_));
        TileScratch& own = scratch[static_cast<std::size_t>(worker)];
        for (Index i = task * kBlock; i < std::min(n, (task + 1) * kBlock); ++i) {
          between.read(&i, 1, s.data(), own);
          double* y = whitened_.data() + i * q_;
          for (Index c = 0; c < q_; ++c) {
            auto value = static_cast<double>(s[static_cast<std::size_t>(c)]);
            const double* row = factor.data() + c * q_;
            for (Index k = 0; k < c; ++k) value -= row[k] * y[k];
            y[c] = value / row[c];
          }
          const double variance = static_cast<double>(ground_.diagonal(i, own)) + regularization_;
          start_free_[static_cast<std::size_t>(i)] = variance;
          start_given_[static_cast<std::size_t>(i)] = variance - explained(i, i);
          if (!std::isfinite(start_given_[static_cast<std::size_t>(i)])) bad.report(i);
        }
      },
      poll);
  bad.throw_if_any(between.argument());
  free_ = start_free_;
  given_ = start_given_;
}

double LogDeterminant::explained(Index i, Index j) const {
  const double* a = whitened_.data() + i * q_;
  const double* b = whitened_.data() + j * q_;
  double sum = 0.0;
  for (Index c = 0; c < q_; ++c) sum += a[c] * b[c];
  return eta_ * eta_ * sum;
}

void LogDeterminant::reset(ThreadPool&, const Poll&) {
  free_ = start_free_;
  given_ = start_given_;
  free_factor_.clear();
  given_factor_.clear();
}

void LogDeterminant::gains(const Index* rows, Index count, double* out, ThreadPool&, const Poll&) {
  // Conditional variances are at least the regularization; below it is rounding.
  for (Index j = 0; j < count; ++j) {
    const auto i = static_cast<std::size_t>(rows[j]);
    out[j] = std::log(std::max(free_[i], regularization_)) - std::log(std::max(given_[i], regularization_));
  }
}

void LogDeterminant::start_bounds(double* out) const {
  for (std::size_t i = 0; i < start_free_.size(); ++i)
    out[i] = std::log(std::max(start_free_[i], regularization_)) -
             std::log(std::max(start_given_[i], regularization_));
}

void LogDeterminant::commit(Index row, ThreadPool& pool) {
  const Index n = size();
  std::vector<float> kernel(static_cast<std::size_t>(n));
  ground_.column(row, kernel.data(), pool);
  if (!all_finite(kernel.data(), n))
    throw InputError("ground", "values that stay finite while they are borrowed",
                     "NaN or infinity in row " + std::to_string(row));
  std::vector<double> free_column(kernel.size());
  std::vector<double> given_column(kernel.size());
  const auto at = static_cast<std::size_t>(row);
  const double free_pivot = std::sqrt(std::max(free_[at], regularization_));
  const double given_pivot = std::sqrt(std::max(given_[at], regularization_));
  constexpr Index kBlock = 512;
  pool.run((n + kBlock - 1) / kBlock, [&](Index task, int) {
    for (Index j = task * kBlock; j < std::min(n, (task + 1) * kBlock); ++j) {
      const auto i = static_cast<std::size_t>(j);
      const double k = static_cast<double>(kernel[i]) + (j == row ? regularization_ : 0.0);
      double free_value = k;
      double given_value = k - explained(j, row);
      for (std::size_t c = 0; c < free_factor_.size(); ++c) {
        free_value -= free_factor_[c][i] * free_factor_[c][at];
        given_value -= given_factor_[c][i] * given_factor_[c][at];
      }
      free_column[i] = free_value / free_pivot;
      given_column[i] = given_value / given_pivot;
    }
  });
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    free_[i] -= free_column[i] * free_column[i];
    given_[i] -= given_column[i] * given_column[i];
  }
  free_factor_.push_back(std::move(free_column));
  given_factor_.push_back(std::move(given_column));
}

double LogDeterminant::evaluate(const Index* rows, Index count) {
  std::vector<Index> members(rows, rows + count);
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  const auto k = static_cast<Index>(members.size());
  if (k == 0) return 0.0;
  ThreadPool alone(1);
  std::vector<float> column(static_cast<std::size_t>(size()));
  std::vector<double> free(static_cast<std::size_t>(k * k));
  std::vector<double> given(free.size());
  for (Index a = 0; a < k; ++a) {
    const Index j = members[static_cast<std::size_t>(a)];
    ground_.column(j, column.data(), alone);
    for (Index b = 0; b < k; ++b) {
      const Index i = members[static_cast<std::size_t>(b)];
      const double value =
          static_cast<double>(column[static_cast<std::size_t>(i)]) + (a == b ? regularization_ : 0.0);
      free[static_cast<std::size_t>(a * k + b)] = value;
      given[static_cast<std::size_t>(a * k + b)] = value - explained(i, j);
    }
  }
  return log_determinant(std::move(free), k) - log_determinant(std::move(given), k);
}

}  // namespace albench
