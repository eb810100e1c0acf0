// Bounds from an 8-bit copy of similarities, rounded up.
//
// Similarities are stored in 255 steps up to a limit that few exceed, weights in 10 bits, both rounded up,
// and the memo rounded down, so an integer sum times the units bounds a gain from above, never below. What
// exceeds the limit is kept apart, as it is. Blocks of 64 rows are laid out column by column: a changed
// column is one cache line. A block catches up with all commits since it was last asked for at once: a column
// that changed often is looked at once, and blocks without good candidates are left alone for most of a run.
#pragma once

#include <cstdint>
#include <vector>

#include "albench/buffer.hpp"
#include "albench/gain_bounds.hpp"
#include "albench/kernels.hpp"

namespace albench {

class QuantisedBounds : public GainBounds {
 public:
  // For the first `rows` rows of the source.
  QuantisedBounds(const FacilityState& state, Index rows);
  // The same with a given limit: a similarity that few exceed.
  QuantisedBounds(const FacilityState& state, Index rows, float limit);

  // The limit from a sample of similarities (reordered): one in ten thousand of the positive ones exceeds it.
  static float choose_limit(std::vector<float>& sample);
  // With sums, and room for what exceeds the limit.
  static Index bytes_per_row(Index cols) { return cols + 40; }
  // Sums of more columns might not fit 31 bits.
  static bool supports(Index cols) { return cols <= kMostWeight / 2; }

  void touch(ThreadPool& pool) override { values_.touch(pool); }
  void store(Index first, Index count, const float* s, TileScratch& scratch) override;
  void reset() override;
  void committed(const std::vector<MemoChange>& changes) override;
  void lower(const Index* rows, const std::vector<Index>& which, double threshold, double* out,
             ThreadPool& pool, const Poll& poll) override;
  void computed(Index) override {}

 private:
  static constexpr Index kMostWeight = 8'000'000;  // of all columns: 255 times that fits 31 bits

  struct Excess {  // a similarity above the limit; column -1: a sum of gains over the limit
    std::int32_t column;
    std::int32_t lane;
    float value;
  };
  struct Worker {
    std::vector<std::int32_t> place;  // (cols,) of a column in `changes`, -1: not there
    std::vector<QuantumChange> changes;
  };

  // Upper bound on the gain of a row, as of when its block last caught up.
  double bound(Index row) const {
    const auto i = static_cast<std::size_t>(row);
    return state_.modular[i] + (static_cast<double>(extra_[i]) + static_cast<double>(gains_[i]) * unit_);
  }
  // Brings blocks up to date with the memo.
  void catch_up(std::vector<Index>& blocks, ThreadPool& pool, const Poll& poll);
  // The weight of a column as it was given.
  double weight(Index column) const {
    return state_.weights.empty() ? 1.0 : state_.weights[static_cast<std::size_t>(column)];
  }
  void keep_excess(Index block, Index lane, const float* s);
  void add_excess(Index block);
  std::uint8_t memo_quanta(float value) const;

  FacilityState state_;
  Index cols_;
  Index blocks_;
  float limit_;
  bool plain_ = true;  // all weights are one quantum
  double unit_ = 1.0;  // value of one quantum of similarity times one of weight
  float up_ = 1.0F;    // quanta in 1, rounded up
  float down_ = 1.0F;  // and down
  Buffer<std::uint8_t> values_;
  std::vector<std::uint16_t> weights_;
  std::vector<std::int32_t> start_;  // gains of the empty set, in quanta
  std::vector<std::int32_t> gains_;
  std::vector<float> extra_;                 // what similarities above the limit add to a bound
  std::vector<std::vector<Excess>> excess_;  // of each block
  // All columns, from the empty set's memo to the largest quantum; empty where that leaves the sums of
  // quanta.
  std::vector<QuantumChange> everything_;
  std::vector<std::vector<QuantumChange>> log_;  // what each commit changed
  std::vector<std::uint32_t> seen_;              // commits that a block knows of
  std::vector<std::uint8_t> wanted_;             // blocks in the list that `lower` makes
  std::vector<Worker> workers_;
};

}  // namespace albench
