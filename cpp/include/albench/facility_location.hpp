// Facility location over query columns, and the family built on it.
//
// f(A) = sum_q w_q max_{a in A} s(a, q)+ + sum_{a in A} b_a, where + is the positive part. b_a = 0 gives
// facility location; b_a = eta max_q s(a, q)+ gives the facility-location variant mutual information (Iyer et
// al., "Submodular combinatorial information measures", 2021; Kothawade et al., PRISM, AAAI 2022). Monotone
// submodular.
//
// The memo holds, per column, the largest similarity of the set so far. A row's gain is kept as a sum over
// column segments, each with the time it was computed: as the memo only grows, old segments are upper bounds,
// and a row needs only as many fresh segments as it takes to fall below the best candidate.
#pragma once

#include <cstdint>
#include <vector>

#include "albench/kernels.hpp"
#include "albench/set_function.hpp"

namespace albench {

class FacilityLocation : public SetFunction {
 public:
  // s: borrowed (n, q) row-major similarities. weights: q non-negative numbers, or empty for ones. eta:
  // factor of the modular part.
  FacilityLocation(const float* s, Index n, Index q, std::vector<double> weights, double eta,
                   ThreadPool& pool, const Poll& poll);

  Index size() const override { return n_; }
  bool diminishing() const override { return true; }
  void reset(ThreadPool& pool, const Poll& poll) override;
  void gains(const Index* rows, Index count, double* out, ThreadPool& pool, const Poll& poll) override;
  void start_bounds(double* out) const override;
  void refine(const Index* rows, Index count, double threshold, double* out, ThreadPool& pool,
              const Poll& poll) override;
  void commit(Index row, ThreadPool& pool) override;
  double evaluate(const Index* rows, Index count) override;

 private:
  void first_pass(ThreadPool& pool, const Poll& poll);
  const double* weights_from(Index column) const {
    return weights_.empty() ? nullptr : weights_.data() + column;
  }
  Index segment_begin(Index segment) const { return segment * segment_width_; }
  Index segment_length(Index segment) const;
  double segment_gain(Index row, Index segment) const;
  double exact_gain(Index row) const;
  double refine_row(Index row, double bound, double threshold);

  const float* s_;
  Index n_;
  Index q_;
  std::vector<double> weights_;
  double eta_;
  Index segment_width_;
  Index segments_;
  std::vector<float> memo_;
  std::vector<double> memo_wide_;
  std::vector<double> modular_;            // (n,) b_a
  std::vector<double> parts_;              // (n, segments) upper bounds, exact where fresh
  std::vector<std::uint32_t> parts_time_;  // (n, segments) when they were computed
  std::vector<std::uint32_t> changed_;     // (segments,) when the memo last rose
  std::uint32_t time_ = 0;                 // commits since reset
  bool untouched_ = false;                 // parts_ hold the gains of the empty set
};

}  // namespace albench
