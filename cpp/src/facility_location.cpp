#include "albench/facility_location.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "albench/fine_features.hpp"

namespace albench {
namespace {

// Some tens of microseconds: what is less is not worth waking a thread for.
constexpr Index kRowsPerTask = 256;
// Rows computed from scratch at a time, and of a matrix.
constexpr Index kExactRows = 4;
constexpr Index kExactDense = 64;

}  // namespace

FacilityLocation::FacilityLocation(Source source, std::vector<double> weights, double eta,
                                   std::vector<float> covered, Index bound_bytes, ThreadPool& pool,
                                   const Poll& poll)
    : source_(std::move(source)),
      weights_(std::move(weights)),
      eta_(eta),
      covered_(std::move(covered)),
      bound_bytes_(bound_bytes),
      memo_(static_cast<std::size_t>(source_.cols())),
      memo_wide_(static_cast<std::size_t>(source_.cols())),
      modular_(static_cast<std::size_t>(source_.rows())),
      start_(static_cast<std::size_t>(source_.rows())) {
  start_memo();
  first_pass(pool, poll);
}

void FacilityLocation::start_memo() {
  for (std::size_t c = 0; c < memo_.size(); ++c) memo_[c] = covered_.empty() ? 0.0F : covered_[c];
  std::copy(memo_.begin(), memo_.end(), memo_wide_.begin());
}

bool FacilityLocation::start_row(Index row, const float* s) {
  const RowStart start = kernels().facility_start(s, weights(), source_.cols());
  modular_[static_cast<std::size_t>(row)] = eta_ * static_cast<double>(start.max);
  const double gain = covered_.empty() ? start.gain : memo_gain(s);
  start_[static_cast<std::size_t>(row)] = modular_[static_cast<std::size_t>(row)] + gain;
  return start.finite;
}

void FacilityLocation::first_pass(ThreadPool& pool, const Poll& poll) {
  const Index n = source_.rows();
  const Index q = source_.cols();
  const bool dense = source_.dense() != nullptr;
  if (!dense) bounds_ = make_gain_bounds(state(), bound_bytes_, pool);
  const std::unique_ptr<FineFeatures> fine = dense ? nullptr : make_fine_features(state());
  exact_start_ = fine == nullptr;
  const Index block = dense ? kRowsPerTask : kLanesOfBlock;
  BadRow bad(n);
  scratch_.resize(static_cast<std::size_t>(pool.size()));
  const auto task = [&](Index t, int worker) {
    const Index begin = t * block;
    const Index count = std::min(block, n - begin);
    const float* s = dense ? source_.dense() + begin * q : nullptr;
    if (!dense) {
      TileScratch& scratch = scratch_[static_cast<std::size_t>(worker)];
      scratch.values.resize(static_cast<std::size_t>(block * q));
      if (fine == nullptr || !fine->read(begin, count, scratch.values.data(), scratch)) {
        Index rows[kLanesOfBlock];
        std::iota(rows, rows + count, begin);
        source_.read(rows, count, scratch.values.data(), scratch);
      }
      s = scratch.values.data();
    }
    for (Index r = 0; r < count; ++r)
      if (!start_row(begin + r, s + r * q)) bad.report(begin + r);
    if (bounds_) bounds_->store(begin, count, s, scratch_[static_cast<std::size_t>(worker)]);
  };
  pool.run((n + block - 1) / block, task, poll);
  bad.throw_if_any(source_.argument());
  require_representable(start_);
  if (bounds_) bounds_->reset();
}

void FacilityLocation::expect_refine(ThreadPool& pool, const Poll& poll) {
  if (bounds_) return;
  // Those of a matrix are made when they are first of use.
  bounds_ = make_gain_bounds(state(), bound_bytes_, pool);
  if (!bounds_) return;
  const Index n = source_.rows();
  scratch_.resize(std::max(scratch_.size(), static_cast<std::size_t>(pool.size())));
  const auto task = [&](Index t, int worker) {
    const Index begin = t * kLanesOfBlock;
    bounds_->store(begin, std::min(kLanesOfBlock, n - begin), source_.dense() + begin * source_.cols(),
                   scratch_[static_cast<std::size_t>(worker)]);
  };
  pool.run((n + kLanesOfBlock - 1) / kLanesOfBlock, task, poll);
  bounds_->reset();
}

void FacilityLocation::reset(ThreadPool&, const Poll&) {
  start_memo();
  if (bounds_) bounds_->reset();
}

double FacilityLocation::memo_gain(const float* s) const {
  return kernels().facility_gain(s, memo_.data(), memo_wide_.data(), weights(), source_.cols());
}

double FacilityLocation::modular_of(Index row, const float* s) const {
  if (exact_start_ || eta_ == 0.0) return modular_[static_cast<std::size_t>(row)];
  return eta_ * static_cast<double>(kernels().facility_start(s, weights(), source_.cols()).max);
}

void FacilityLocation::gains(const Index* rows, Index count, double* out, ThreadPool& pool,
                             const Poll& poll) {
  const Index q = source_.cols();
  const bool dense = source_.dense() != nullptr;
  const Index block = dense ? kRowsPerTask : std::min(kLanesOfBlock, (count + pool.size() - 1) / pool.size());
  const Index tasks = (count + block - 1) / block;
  scratch_.resize(std::max(scratch_.size(), static_cast<std::size_t>(pool.size())));
  pool.run(
      tasks,
      [&](Index task, int worker) {
        const Index begin = task * block;
        const Index end = std::min(count, begin + block);
        if (dense) {
          for (Index j = begin; j < end; ++j) out[j] = gain_of(rows[j], source_.dense() + rows[j] * q);
          return;
        }
        TileScratch& scratch = scratch_[static_cast<std::size_t>(worker)];
        scratch.values.resize(static_cast<std::size_t>(block * q));
        source_.read(rows + begin, end - begin, scratch.values.data(), scratch);
        for (Index j = begin; j < end; ++j)
          out[j] = gain_of(rows[j], scratch.values.data() + (j - begin) * q);
      },
      poll);
}

void FacilityLocation::start_bounds(double* out) const {
  std::copy(start_.begin(), start_.end(), out);
}

void FacilityLocation::refine(const Index* rows, Index count, double threshold, double* out, ThreadPool& pool,
                              const Poll& poll) {
  const bool dense = source_.dense() != nullptr;
  if (!bounds_) {
    gains(rows, count, out, pool, poll);
    return;
  }
  std::vector<Index> left(static_cast<std::size_t>(count));
  std::iota(left.begin(), left.end(), Index{0});
  bounds_->lower(rows, left, threshold, out, pool, poll);
  // From the largest bound down, until what is left cannot reach the best exact gain.
  left.erase(std::remove_if(left.begin(), left.end(), [&](Index j) { return out[j] < threshold; }),
             left.end());
  const auto below = [&](Index a, Index b) { return out[a] < out[b] || (out[a] == out[b] && a > b); };
  std::make_heap(left.begin(), left.end(), below);
  // Few at first, as the first may decide; more at a time where many are close.
  auto most = static_cast<std::size_t>((dense ? kExactDense : kExactRows) * pool.size());
  const auto limit = static_cast<std::size_t>((dense ? kRowsPerTask : kLanesOfBlock) * pool.size());
  std::vector<Index> batch;
  std::vector<Index> exact;
  std::vector<double> gain;
  while (!left.empty() && out[left.front()] >= threshold) {
    batch.clear();
    exact.clear();
    while (batch.size() < most && !left.empty() && out[left.front()] >= threshold) {
      batch.push_back(left.front());
      exact.push_back(rows[left.front()]);
      std::pop_heap(left.begin(), left.end(), below);
      left.pop_back();
    }
    gain.resize(batch.size());
    gains(exact.data(), static_cast<Index>(exact.size()), gain.data(), pool, poll);
    for (std::size_t e = 0; e < batch.size(); ++e) {
      out[batch[e]] = gain[e];
      threshold = std::max(threshold, gain[e]);
      bounds_->computed(exact[e]);
    }
    most = std::min(2 * most, limit);
  }
}

void FacilityLocation::commit(Index row, ThreadPool&) {
  const Index q = source_.cols();
  scratch_.resize(std::max<std::size_t>(scratch_.size(), 1));
  const float* s = nullptr;
  if (source_.dense() != nullptr) {
    s = source_.dense() + row * q;
  } else {
    scratch_[0].values.resize(std::max(scratch_[0].values.size(), static_cast<std::size_t>(q)));
    source_.read(&row, 1, scratch_[0].values.data(), scratch_[0]);
    s = scratch_[0].values.data();
  }
  source_.require_finite(row, s);
  cover(s);
}

void FacilityLocation::cover(const float* s) {
  changes_.clear();
  for (Index c = 0; c < source_.cols(); ++c) {
    const auto column = static_cast<std::size_t>(c);
    const float value = s[c];
    if (!(value > memo_[column])) continue;
    changes_.push_back({c, memo_[column], value});
    memo_[column] = value;
    memo_wide_[column] = static_cast<double>(value);
  }
  if (bounds_) bounds_->committed(changes_);
}

double FacilityLocation::evaluate(const Index* rows, Index count) {
  const auto q = static_cast<std::size_t>(source_.cols());
  std::vector<Index> members(rows, rows + count);
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  std::vector<float> s(q);
  const std::vector<float> covered = covered_.empty() ? std::vector<float>(q, 0.0F) : covered_;
  std::vector<float> largest = covered;
  TileScratch scratch;
  double value = 0.0;
  for (const Index row : members) {
    source_.read(&row, 1, s.data(), scratch);
    source_.require_finite(row, s.data());
    for (std::size_t c = 0; c < q; ++c) largest[c] = std::max(largest[c], s[c]);
    value += modular_of(row, s.data());
  }
  for (std::size_t c = 0; c < q; ++c)
    value += (weights_.empty() ? 1.0 : weights_[c]) *
             (static_cast<double>(largest[c]) - static_cast<double>(covered[c]));
  return value;
}

}  // namespace albench
