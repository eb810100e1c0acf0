#include "albench/gain_bounds.hpp"

#include <algorithm>

#include "albench/delta_bounds.hpp"
#include "albench/kernels.hpp"
#include "albench/quantised_bounds.hpp"

namespace albench {
namespace {

// Quantised bounds for the first rows, as many as memory allows, and what needs none for the others.
class SplitBounds : public GainBounds {
 public:
  SplitBounds(const FacilityState& state, Index rows) : rows_(rows), first_(state, rows), others_(state) {}

  void store(Index first, Index count, const float* s) override {
    if (first < rows_) first_.store(first, std::min(count, rows_ - first), s);
  }
  void reset() override {
    first_.reset();
    others_.reset();
  }
  void committed(const std::vector<MemoChange>& changes) override {
    first_.committed(changes);
    others_.committed(changes);
  }
  void lower(const Index* rows, const std::vector<Index>& which, double* out, ThreadPool& pool,
             const Poll& poll) override {
    std::vector<Index> parts[2];
    for (const Index j : which) parts[rows[j] < rows_ ? 0 : 1].push_back(j);
    first_.lower(rows, parts[0], out, pool, poll);
    others_.lower(rows, parts[1], out, pool, poll);
  }
  void computed(Index row) override { others_.computed(row); }

 private:
  Index rows_;
  QuantisedBounds first_;
  DeltaBounds others_;
};

}  // namespace

std::unique_ptr<GainBounds> make_gain_bounds(const FacilityState& state, Index bytes) {
  const Index n = state.source.rows();
  const Index q = state.source.cols();
  const Index fitting = QuantisedBounds::supports(q) ? bytes / QuantisedBounds::bytes_per_row(q) : 0;
  if (fitting >= n) return std::make_unique<QuantisedBounds>(state, n);
  if (state.source.dense() != nullptr) return nullptr;
  const Index whole_blocks = fitting / kLanesOfBlock * kLanesOfBlock;
  if (whole_blocks == 0) return std::make_unique<DeltaBounds>(state);
  return std::make_unique<SplitBounds>(state, whole_blocks);
}

}  // namespace albench
