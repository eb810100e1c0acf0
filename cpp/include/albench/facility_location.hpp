// Facility location over query columns, and the family built on it.
//
// f(A) = sum_q w_q max(0, max_{a in A} s(a, q) - c_q) + sum_{a in A} b_a, where c_q >= 0 is what is covered
// before anything is chosen: 0, or a start maximum. b_a = 0 gives facility location; b_a = eta max_q s(a, q)+
// (the positive part) the facility-location variant mutual information; similarities cut at caps the
// facility-location mutual information (Kothawade et al., PRISM, AAAI 2022). Monotone submodular.
//
// A first look at all rows finds what each can gain at most; of features in numbers of 16 bits where that is
// faster (FineFeatures). The memo holds, per column, the largest of c_q and the similarities of the set so
// far. As it only grows, an old gain is an upper bound; `refine` lowers bounds cheaply (GainBounds) and
// computes exactly only what reaches the threshold.
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
  // covered: c_q >= 0 of each column, or empty for zeros; bound_bytes: what may be spent on bounds.
  FacilityLocation(Source source, std::vector<double> weights, double eta, std::vector<float> covered,
                   Index bound_bytes, ThreadPool& pool, const Poll& poll);

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

  // What `commit` does to the memo, for a row (q,) of similarities that need not be in the ground set.
  void cover(const float* s);
  Index columns() const { return source_.cols(); }

 private:
  void start_memo();
  void first_pass(ThreadPool& pool, const Poll& poll);
  bool start_row(Index row, const float* s);
  FacilityState state() const { return {source_, weights_, modular_, memo_}; }
  const double* weights() const { return weights_.empty() ? nullptr : weights_.data(); }
  // What similarities s of a row gain: beside what the memo has, whatever it has, and both.
  double memo_gain(const float* s) const;
  double modular_of(Index row, const float* s) const;
  double gain_of(Index row, const float* s) const { return modular_of(row, s) + memo_gain(s); }

  Source source_;
  std::vector<double> weights_;
  double eta_;
  std::vector<float> covered_;  // (q,) or empty for zeros
  Index bound_bytes_;
  std::vector<float> memo_;        // (q,)
  std::vector<double> memo_wide_;  // the same in double
  std::vector<double> modular_;    // (n,) b_a, or at least that
  std::vector<double> start_;      // (n,) gains of the empty set, or at least those
  bool exact_start_ = true;        // whether they are exact
  std::unique_ptr<GainBounds> bounds_;
  std::vector<TileScratch> scratch_;
  std::vector<MemoChange> changes_;
};

}  // namespace albench
