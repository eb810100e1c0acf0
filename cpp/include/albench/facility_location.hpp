// Facility location over query columns, and the family built on it.
//
// f(A) = sum_q w_q max_{a in A} s(a, q)+ + sum_{a in A} b_a, where + is the positive part. b_a = 0 gives
// facility location; b_a = eta max_q s(a, q)+ the facility-location variant mutual information; similarities
// cut at caps the facility-location mutual information (Kothawade et al., PRISM, AAAI 2022). Monotone
// submodular.
//
// The memo holds, per column, the largest similarity of the set so far. As it only grows, an old gain is an
// upper bound; `refine` lowers bounds cheaply (GainBounds) and computes exactly only what reaches the
// threshold.
#pragma once

#include <memory>
#include <vector>

#include "albench/gain_bounds.hpp"
#include "albench/set_function.hpp"
#include "albench/source.hpp"

namespace albench {

class FacilityLocation : public SetFunction {
 public:
  // weights: one non-negative number per column, or empty for ones; eta: factor of the modular part;
  // bound_bytes: what may be spent on bounds.
  FacilityLocation(Source source, std::vector<double> weights, double eta, Index bound_bytes,
                   ThreadPool& pool, const Poll& poll);

  Index size() const override { return source_.rows(); }
  bool diminishing() const override { return true; }
  void reset(ThreadPool& pool, const Poll& poll) override;
  void gains(const Index* rows, Index count, double* out, ThreadPool& pool, const Poll& poll) override;
  void start_bounds(double* out) const override;
  void refine(const Index* rows, Index count, double threshold, double* out, ThreadPool& pool,
              const Poll& poll) override;
  void expect_refine(ThreadPool& pool, const Poll& poll) override;
  void commit(Index row, ThreadPool& pool) override;
  double evaluate(const Index* rows, Index count) override;

 private:
  void first_pass(ThreadPool& pool, const Poll& poll);
  bool start_row(Index row, const float* s);
  FacilityState state() const { return {source_, weights_, modular_, memo_}; }
  const double* weights() const { return weights_.empty() ? nullptr : weights_.data(); }
  double gain_of(Index row, const float* s) const;

  Source source_;
  std::vector<double> weights_;
  double eta_;
  Index bound_bytes_;
  std::vector<float> memo_;
  std::vector<double> memo_wide_;
  std::vector<double> modular_;  // (n,) b_a
  std::vector<double> start_;    // (n,) gains of the empty set
  std::unique_ptr<GainBounds> bounds_;
  std::vector<TileScratch> scratch_;
  std::vector<MemoChange> changes_;
};

}  // namespace albench
