#include "albench/facility_location.hpp"

#include <algorithm>
#include <numeric>
#include <string>

namespace albench {
namespace {

constexpr Index kRowsPerTask =
    256;                         // some tens of microseconds: what is less is not worth waking a thread for
constexpr Index kExactRows = 4;  // rows computed from scratch at a time where rows are made on demand

}  // namespace

FacilityLocation::FacilityLocation(Source source, std::vector<double> weights, double eta, Index shadow_bytes,
                                   ThreadPool& pool, const Poll& poll)
    : source_(std::move(source)),
      weights_(std::move(weights)),
      eta_(eta),
      memo_(static_cast<std::size_t>(source_.cols()), 0.0F),
      memo_wide_(static_cast<std::size_t>(source_.cols()), 0.0),
      modular_(static_cast<std::size_t>(source_.rows())),
      start_(static_cast<std::size_t>(source_.rows())) {
  first_pass(pool, poll, shadow_bytes);
}

bool FacilityLocation::start_row(Index row, const float* s, float& largest) {
  const RowStart start = kernels().facility_start(s, weights(), source_.cols());
  modular_[static_cast<std::size_t>(row)] = eta_ * static_cast<double>(start.max);
  start_[static_cast<std::size_t>(row)] = modular_[static_cast<std::size_t>(row)] + start.gain;
  largest = std::max(largest, start.max);
  return start.finite;
}

void FacilityLocation::first_pass(ThreadPool& pool, const Poll& poll, Index shadow_bytes) {
  const Index n = source_.rows();
  const Index q = source_.cols();
  // A shadow holds whole blocks.
  const Index fitting = std::min(n, shadow_bytes / Shadow::bytes_per_row(q));
  shadow_rows_ = fitting == n ? n : fitting / kLanesOfBlock * kLanesOfBlock;
  const bool dense = source_.dense() != nullptr;
  if (!dense) {
    // Whatever has no shadow is kept up to date column by column.
    if (shadow_rows_ > 0)
      shadow_ =
          std::make_unique<Shadow>(shadow_rows_, q, source_.largest_possible(), weights_, modular_.data());
    delta_ = std::make_unique<DeltaBounds>(n, q);
  }
  const Index block = dense ? 256 : source_.tile_rows();
  const Index tasks = (n + block - 1) / block;
  BadRow bad(n);
  std::vector<float> largest(static_cast<std::size_t>(tasks), 0.0F);
  scratch_.resize(static_cast<std::size_t>(pool.size()));
  pool.run(
      tasks,
      [&](Index task, int worker) {
        const Index begin = task * block;
        const Index count = std::min(block, n - begin);
        const float* s = dense ? source_.dense() + begin * q : nullptr;
        if (!dense) {
          TileScratch& scratch = scratch_[static_cast<std::size_t>(worker)];
          scratch.values.resize(static_cast<std::size_t>(block * q));
          std::vector<Index> rows(static_cast<std::size_t>(count));
          std::iota(rows.begin(), rows.end(), begin);
          source_.read(rows.data(), count, scratch.values.data(), scratch);
          s = scratch.values.data();
        }
        for (Index r = 0; r < count; ++r) {
          if (!start_row(begin + r, s + r * q, largest[static_cast<std::size_t>(task)]))
            bad.report(begin + r);
        }
        if (shadow_ && begin < shadow_rows_) shadow_->store(begin, std::min(count, shadow_rows_ - begin), s);
      },
      poll);
  bad.throw_if_any(source_.argument());
  largest_ = *std::max_element(largest.begin(), largest.end());
  if (shadow_) shadow_->reset();
}

const double* FacilityLocation::current_bounds(ThreadPool& pool, const Poll& poll) {
  const Index n = source_.rows();
  if (shadow_rows_ < n) return nullptr;
  if (!shadow_) {
    // Of a matrix the shadow is made when it is first of use.
    const Index q = source_.cols();
    shadow_ = std::make_unique<Shadow>(n, q, static_cast<double>(largest_), weights_, modular_.data());
    constexpr Index kBlock = 4 * kLanesOfBlock;
    pool.run((n + kBlock - 1) / kBlock, [&](Index task, int) {
      const Index begin = task * kBlock;
      shadow_->store(begin, std::min(kBlock, n - begin), source_.dense() + begin * q);
    });
    shadow_->reset();
    if (poll) poll();
  }
  return shadow_->bounds().data();
}

void FacilityLocation::reset(ThreadPool&, const Poll&) {
  std::fill(memo_.begin(), memo_.end(), 0.0F);
  std::fill(memo_wide_.begin(), memo_wide_.end(), 0.0);
  if (shadow_) shadow_->reset();
  if (delta_) delta_->reset();
}

double FacilityLocation::gain_of(Index row, const float* s) const {
  return modular_[static_cast<std::size_t>(row)] +
         kernels().facility_gain(s, memo_.data(), memo_wide_.data(), weights(), source_.cols());
}

void FacilityLocation::gains(const Index* rows, Index count, double* out, ThreadPool& pool,
                             const Poll& poll) {
  const Index q = source_.cols();
  const bool dense = source_.dense() != nullptr;
  const Index block =
      dense ? kRowsPerTask : std::min(source_.tile_rows(), (count + pool.size() - 1) / pool.size());
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

void FacilityLocation::bound_features(const Index* rows, Index count, double* out, ThreadPool& pool,
                                      const Poll& poll) {
  std::vector<Index> others;
  for (Index j = 0; j < count; ++j) {
    if (shadow_ && rows[j] < shadow_rows_) {
      out[j] = std::min(out[j], shadow_->bounds()[static_cast<std::size_t>(rows[j])]);
    } else {
      others.push_back(j);
    }
  }
  delta_->lower(source_, memo_, weights_, rows, others, out, pool, poll);
}

void FacilityLocation::refine(const Index* rows, Index count, double threshold, double* out, ThreadPool& pool,
                              const Poll& poll) {
  if (source_.dense() != nullptr) {
    gains(rows, count, out, pool, poll);
    return;
  }
  bound_features(rows, count, out, pool, poll);
  // From the largest bound down, until what is left cannot reach the best exact gain.
  std::vector<Index> left;
  for (Index j = 0; j < count; ++j)
    if (out[j] >= threshold) left.push_back(j);
  std::vector<Index> exact(static_cast<std::size_t>(kExactRows * pool.size()));
  std::vector<double> gain(exact.size());
  std::size_t done = 0;
  const auto above = [&](Index a, Index b) { return out[a] > out[b] || (out[a] == out[b] && a < b); };
  while (done < left.size()) {
    const std::size_t take = std::min(exact.size(), left.size() - done);
    const auto begin = left.begin() + static_cast<std::ptrdiff_t>(done);
    std::partial_sort(begin, begin + static_cast<std::ptrdiff_t>(take), left.end(), above);
    if (out[left[done]] < threshold) break;
    for (std::size_t e = 0; e < take; ++e) exact[e] = rows[left[done + e]];
    gains(exact.data(), static_cast<Index>(take), gain.data(), pool, poll);
    for (std::size_t e = 0; e < take; ++e) {
      out[left[done + e]] = gain[e];
      threshold = std::max(threshold, gain[e]);
      delta_->refreshed(exact[e]);
    }
    done += take;
  }
}

void FacilityLocation::commit(Index row, ThreadPool& pool) {
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
  changes_.clear();
  for (Index c = 0; c < q; ++c) {
    const auto column = static_cast<std::size_t>(c);
    if (s[c] <= memo_[column]) continue;
    changes_.push_back({c, memo_[column]});
    if (shadow_) shadow_->raise(c, memo_[column], s[c]);
    memo_[column] = s[c];
    memo_wide_[column] = static_cast<double>(s[c]);
  }
  if (shadow_) shadow_->settle(pool);
  if (delta_) delta_->committed(changes_);
}

double FacilityLocation::evaluate(const Index* rows, Index count) {
  const auto q = static_cast<std::size_t>(source_.cols());
  std::vector<Index> members(rows, rows + count);
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  std::vector<float> s(q);
  std::vector<float> largest(q, 0.0F);
  TileScratch scratch;
  double value = 0.0;
  for (const Index row : members) {
    source_.read(&row, 1, s.data(), scratch);
    for (std::size_t c = 0; c < q; ++c) largest[c] = std::max(largest[c], s[c]);
    value += modular_[static_cast<std::size_t>(row)];
  }
  for (std::size_t c = 0; c < q; ++c)
    value += (weights_.empty() ? 1.0 : weights_[c]) * static_cast<double>(largest[c]);
  return value;
}

}  // namespace albench
