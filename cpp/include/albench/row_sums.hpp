// Functions of sums of similarities: graph-cut mutual information and concave over modular.
#pragma once

#include <vector>

#include "albench/set_function.hpp"
#include "albench/source.hpp"

namespace albench {

enum class Concave { sqrt, log, inverse };  // psi(x) = sqrt(x), log(1 + x), x / (1 + x)

enum class Negative { clip, keep };  // whether negative similarities count as 0 or as they are

// Both functions below read whole rows and know the weighted sum of each row's similarities.
class RowSums : public SetFunction {
 public:
  Index size() const override { return source_.rows(); }
  bool diminishing() const override { return true; }

 protected:
  RowSums(Source source, std::vector<double> weights, Negative negative, ThreadPool& pool, const Poll& poll);

  // Calls use(j, s) for all j < count with the similarities of rows[j] to all columns, threaded.
  void for_rows(const Index* rows, Index count, ThreadPool& pool, const Poll& poll,
                const std::function<void(Index, const float*)>& use);
  double weight(Index column) const {
    return weights_.empty() ? 1.0 : weights_[static_cast<std::size_t>(column)];
  }

  Source source_;
  std::vector<double> weights_;
  std::vector<double> sums_;  // (n,)
  std::vector<TileScratch> scratch_;
};

// f(A) = 2 lambda sum_{a in A} sum_q w_q s(a, q), negative s clipped or kept: modular, so greedy is optimal.
class GraphCut : public RowSums {
 public:
  GraphCut(Source source, std::vector<double> weights, double lambda, Negative negative, ThreadPool& pool,
           const Poll& poll);

  void reset(ThreadPool&, const Poll&) override {}
  void gains(const Index* rows, Index count, double* out, ThreadPool& pool, const Poll& poll) override;
  void start_bounds(double* out) const override;
  void commit(Index, ThreadPool&) override {}
  double evaluate(const Index* rows, Index count) override;

 private:
  double factor_;
};

// f(A) = eta sum_{a in A} psi(sum_q w_q s(a, q)+) + sum_q w_q psi(sum_{a in A} s(a, q)+): monotone
// submodular.
class ConcaveOverModular : public RowSums {
 public:
  ConcaveOverModular(Source source, std::vector<double> weights, double eta, Concave psi, ThreadPool& pool,
                     const Poll& poll);

  void reset(ThreadPool& pool, const Poll& poll) override;
  void gains(const Index* rows, Index count, double* out, ThreadPool& pool, const Poll& poll) override;
  void start_bounds(double* out) const override;
  void commit(Index row, ThreadPool& pool) override;
  double evaluate(const Index* rows, Index count) override;

  // Each term is a quotient good to a few units in the last place, all terms are positive: so is their sum.
  double bound_factor() const override { return 1.0 + static_cast<double>(source_.cols() + 64) * 0x1p-51; }

 private:
  double gain_of(Index row, const float* s) const;

  double eta_;
  Concave psi_;
  std::vector<double> memo_;   // (q,) sum of the set's similarities
  std::vector<double> start_;  // (n,) gains of the empty set
};

}  // namespace albench
