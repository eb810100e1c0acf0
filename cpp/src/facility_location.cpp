#include "albench/facility_location.hpp"

#include <algorithm>
#include <numeric>
#include <string>

namespace albench {
namespace {

// Some tens of microseconds: what is less is not worth waking a thread for.
constexpr Index kRowsPerTask = 256;
// Rows computed from scratch at a time, and of a matrix.
constexpr Index kExactRows = 4;
constexpr Index kExactDense = 64;
constexpr Index kFewRows = 32;
constexpr Index kSampleRows = 64;

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

bool FacilityLocation::start_row(Index row, const float* s) {
  const RowStart start = kernels().facility_start(s, weights(), source_.cols());
  modular_[static_cast<std::size_t>(row)] = eta_ * static_cast<double>(start.max);
  start_[static_cast<std::size_t>(row)] = modular_[static_cast<std::size_t>(row)] + start.gain;
  return start.finite;
}

float FacilityLocation::sampled_limit() const {
  const Index q = source_.cols();
  const Index rows = std::min(source_.rows(), kSampleRows);
  std::vector<float> sample(static_cast<std::size_t>(rows * q));
  TileScratch scratch;
  for (Index r = 0; r < rows; ++r) {
    const Index row = r * source_.rows() / rows;
    float* to = sample.data() + r * q;
    if (source_.dense() != nullptr) {
      std::copy_n(source_.dense() + row * q, q, to);
    } else {
      source_.read(&row, 1, to, scratch);
    }
  }
  return Shadow::choose_limit(sample);
}

void FacilityLocation::first_pass(ThreadPool& pool, const Poll& poll, Index shadow_bytes) {
  const Index n = source_.rows();
  const Index q = source_.cols();
  // A shadow holds whole blocks.
  const Index fitting = Shadow::supports(q) ? std::min(n, shadow_bytes / Shadow::bytes_per_row(q)) : 0;
  shadow_rows_ = fitting == n ? n : fitting / kLanesOfBlock * kLanesOfBlock;
  const bool dense = source_.dense() != nullptr;
  if (!dense) {
    // Whatever has no shadow is kept up to date column by column.
    if (shadow_rows_ > 0)
      shadow_ = std::make_unique<Shadow>(shadow_rows_, q, sampled_limit(), weights_, modular_.data());
    delta_ = std::make_unique<DeltaBounds>(n, q);
  }
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
      Index rows[kLanesOfBlock];
      std::iota(rows, rows + count, begin);
      source_.read(rows, count, scratch.values.data(), scratch);
      s = scratch.values.data();
    }
    for (Index r = 0; r < count; ++r)
      if (!start_row(begin + r, s + r * q)) bad.report(begin + r);
    if (shadow_ && begin < shadow_rows_) shadow_->store(begin, std::min(count, shadow_rows_ - begin), s);
  };
  pool.run((n + block - 1) / block, task, poll);
  bad.throw_if_any(source_.argument());
  if (shadow_) shadow_->reset();
}

void FacilityLocation::expect_refine(ThreadPool& pool, const Poll& poll) {
  const Index n = source_.rows();
  if (shadow_ || shadow_rows_ < n) return;
  // Of a matrix the shadow is made when it is first of use, and if it fits as a whole.
  const Index q = source_.cols();
  shadow_ = std::make_unique<Shadow>(n, q, sampled_limit(), weights_, modular_.data());
  const auto task = [&](Index t, int) {
    const Index begin = t * kLanesOfBlock;
    shadow_->store(begin, std::min(kLanesOfBlock, n - begin), source_.dense() + begin * q);
  };
  pool.run((n + kLanesOfBlock - 1) / kLanesOfBlock, task, poll);
  shadow_->reset();
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

void FacilityLocation::lower_bounds(const Index* rows, Index count, double* out, ThreadPool& pool,
                                    const Poll& poll) {
  std::vector<Index> blocks;
  std::vector<Index> others;
  for (Index j = 0; j < count; ++j) {
    if (shadow_ && rows[j] < shadow_rows_) {
      shadow_->want(rows[j], blocks);
    } else {
      others.push_back(j);
    }
  }
  if (shadow_) {
    shadow_->catch_up(blocks, memo_, pool, poll);
    for_parts(count, pool, [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j)
        if (rows[j] < shadow_rows_) out[j] = std::min(out[j], shadow_->bound(rows[j]));
    });
  }
  // Of few rows the gains are as soon computed.
  if (delta_ && static_cast<Index>(others.size()) > kFewRows)
    delta_->lower(source_, memo_, weights_, rows, others, out, pool, poll);
}

void FacilityLocation::refine(const Index* rows, Index count, double threshold, double* out, ThreadPool& pool,
                              const Poll& poll) {
  const bool dense = source_.dense() != nullptr;
  if (dense && !shadow_) {
    gains(rows, count, out, pool, poll);
    return;
  }
  lower_bounds(rows, count, out, pool, poll);
  // From the largest bound down, until what is left cannot reach the best exact gain.
  std::vector<Index> left;
  for (Index j = 0; j < count; ++j)
    if (out[j] >= threshold) left.push_back(j);
  const auto below = [&](Index a, Index b) { return out[a] < out[b] || (out[a] == out[b] && a > b); };
  std::make_heap(left.begin(), left.end(), below);
  // Few at first, as the first may decide; more at a time where many are close.
  std::size_t most = static_cast<std::size_t>((dense ? kExactDense : kExactRows) * pool.size());
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
      if (delta_) delta_->refreshed(exact[e]);
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
  changes_.clear();
  for (Index c = 0; c < q; ++c) {
    const auto column = static_cast<std::size_t>(c);
    if (s[c] <= memo_[column]) continue;
    changes_.push_back({c, memo_[column]});
    if (shadow_) shadow_->raise(c, memo_[column], s[c]);
    memo_[column] = s[c];
    memo_wide_[column] = static_cast<double>(s[c]);
  }
  if (shadow_) shadow_->committed();
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
