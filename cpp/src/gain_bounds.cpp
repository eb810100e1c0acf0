#include "albench/gain_bounds.hpp"

#include <algorithm>

#include "albench/coarse_bounds.hpp"
#include "albench/delta_bounds.hpp"
#include "albench/fine_features.hpp"
#include "albench/kernels.hpp"
#include "albench/quantised_bounds.hpp"

namespace albench {
namespace {

// Less is as soon multiplied in floats (benchmarks/bounds.py).
constexpr Index kFewestRows = 4096;
constexpr Index kFewestColumns = 128;
constexpr Index kFewestFeatures = 48;
// What coarse features may take whatever memory is allowed.
constexpr Index kCoarseBytes = Index{256} << 20U;

bool worth_whole_numbers(const Source& source, Index rows) {
  return source.panels() != nullptr && rows >= kFewestRows && source.cols() >= kFewestColumns &&
         source.panels()->dim() >= kFewestFeatures;
}

// Bounds of rows from `first` on, whose similarities are not held.
std::unique_ptr<GainBounds> bounds_of_products(const FacilityState& state, Index first, Index bytes) {
  const Index rows = state.source.rows() - first;
  if (worth_whole_numbers(state.source, rows) && CoarseFeatures::supports(state.source) &&
      rows * CoarseBounds::bytes_per_row(state.source.panels()->dim()) <= std::max(bytes, kCoarseBytes)) {
    auto coarse = std::make_unique<CoarseBounds>(state, first);
    if (coarse->promising()) return coarse;
  }
  return std::make_unique<DeltaBounds>(state);
}

// Quantised bounds for the first rows, as many as memory allows, and what needs none for the others.
class SplitBounds : public GainBounds {
 public:
  SplitBounds(const FacilityState& state, Index rows)
      : rows_(rows), first_(state, rows), others_(bounds_of_products(state, rows, 0)) {}

  void touch(ThreadPool& pool) override {
    first_.touch(pool);
    others_->touch(pool);
  }
  void store(Index first, Index count, const float* s, TileScratch& scratch) override {
    if (first < rows_) {
      first_.store(first, std::min(count, rows_ - first), s, scratch);
    } else {
      others_->store(first, count, s, scratch);
    }
  }
  void reset() override {
    first_.reset();
    others_->reset();
  }
  void committed(const std::vector<MemoChange>& changes) override {
    first_.committed(changes);
    others_->committed(changes);
  }
  void lower(const Index* rows, const std::vector<Index>& which, double threshold, double* out,
             ThreadPool& pool, const Poll& poll) override {
    std::vector<Index> parts[2];
    for (const Index j : which) parts[rows[j] < rows_ ? 0 : 1].push_back(j);
    first_.lower(rows, parts[0], threshold, out, pool, poll);
    others_->lower(rows, parts[1], threshold, out, pool, poll);
  }
  void computed(Index row) override {
    if (row >= rows_) others_->computed(row);
  }

 private:
  Index rows_;
  QuantisedBounds first_;
  std::unique_ptr<GainBounds> others_;
};

std::unique_ptr<GainBounds> choose_bounds(const FacilityState& state, Index bytes) {
  const Index n = state.source.rows();
  const Index q = state.source.cols();
  const Index fitting = QuantisedBounds::supports(q) ? bytes / QuantisedBounds::bytes_per_row(q) : 0;
  if (fitting >= n) return std::make_unique<QuantisedBounds>(state, n);
  if (state.source.dense() != nullptr) return nullptr;
  const Index whole_blocks = fitting / kLanesOfBlock * kLanesOfBlock;
  if (whole_blocks == 0) return bounds_of_products(state, 0, bytes);
  return std::make_unique<SplitBounds>(state, whole_blocks);
}

}  // namespace

std::unique_ptr<GainBounds> make_gain_bounds(const FacilityState& state, Index bytes, ThreadPool& pool) {
  std::unique_ptr<GainBounds> bounds = choose_bounds(state, bytes);
  if (bounds) bounds->touch(pool);
  return bounds;
}

std::unique_ptr<FineFeatures> make_fine_features(const FacilityState& state) {
  if (!worth_whole_numbers(state.source, state.source.rows()) || !FineFeatures::supports(state.source))
    return nullptr;
  auto fine = std::make_unique<FineFeatures>(state.source);
  return fine->promising(state) ? std::move(fine) : nullptr;
}

}  // namespace albench
