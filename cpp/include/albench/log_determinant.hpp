// Log-determinant mutual information between the chosen set and the queries.
//
// I(A; Q) = log det(K_A + r I) - log det(K_A + r I - eta^2 K_AQ (K_Q + r I)^-1 K_QA)
// (Kothawade et al., PRISM, AAAI 2022), r > 0, 0 <= eta <= 1. With eta = 1 this is twice the mutual
// information of Gaussian variables with covariance K + r I. It is monotone (information is never lost), but
// not submodular in general: two members may tell more together than apart. Greedy then keeps 1 -
// exp(-gamma), gamma the submodularity ratio (Das and Kempe, ICML 2011), and lazy evaluation would be wrong,
// so it is refused.
//
// Both determinants grow by one Cholesky row a commit (Chen, Zhang, Zhou, NeurIPS 2018): a gain is the
// logarithm of a quotient of conditional variances, known for all candidates at all times. O(n (q + k)) a
// commit.
#pragma once

#include <memory>
#include <vector>

#include "albench/set_function.hpp"
#include "albench/source.hpp"

namespace albench {

// Columns of the kernel among candidates: of a matrix (n, n), or made from features.
class GroundKernel {
 public:
  GroundKernel(const float* kernel, Index n) : dense_(kernel), n_(n) {}
  GroundKernel(const Features& x, Metric metric, std::vector<double> scale)
      : n_(x.rows), x_(x), metric_(metric), scale_(std::move(scale)) {}

  Index size() const { return n_; }
  void column(Index j, float* out, ThreadPool& pool) const;
  float diagonal(Index i, TileScratch& scratch) const;

 private:
  QueryPanels panel_of(Index j) const;

  const float* dense_ = nullptr;
  Index n_;
  Features x_;
  Metric metric_ = Metric::dot;
  std::vector<double> scale_;
};

class LogDeterminant : public SetFunction {
 public:
  // between: similarities of candidates to queries; queries: (q, q) kernel among the queries, row-major.
  LogDeterminant(GroundKernel ground, const Source& between, const float* queries, double eta,
                 double regularization, ThreadPool& pool, const Poll& poll);

  Index size() const override { return ground_.size(); }
  bool diminishing() const override { return false; }
  void reset(ThreadPool& pool, const Poll& poll) override;
  void gains(const Index* rows, Index count, double* out, ThreadPool& pool, const Poll& poll) override;
  void start_bounds(double* out) const override;
  void commit(Index row, ThreadPool& pool) override;
  double evaluate(const Index* rows, Index count) override;

 private:
  double explained(Index i, Index j) const;  // eta^2 K_iQ (K_Q + r I)^-1 K_Qj

  GroundKernel ground_;
  Index q_;
  double eta_;
  double regularization_;
  std::vector<double> whitened_;                  // (n, q) rows L^-1 K_Qi with L L^T = K_Q + r I
  std::vector<double> start_free_;                // (n,) variances of the empty set
  std::vector<double> start_given_;               // (n,) the same, given the queries
  std::vector<double> free_;                      // (n,) variances given the set
  std::vector<double> given_;                     // (n,) variances given the set and the queries
  std::vector<std::vector<double>> free_factor_;  // one (n,) Cholesky column a commit
  std::vector<std::vector<double>> given_factor_;
};

}  // namespace albench
