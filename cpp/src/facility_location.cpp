#include "albench/facility_location.hpp"

#include <algorithm>
#include <string>

namespace albench {
namespace {

constexpr Index kMinSegment = 64;   // columns: below this the bookkeeping outweighs the arithmetic
constexpr Index kMaxSegments = 16;  // bounds the memory per row
constexpr Index kRowsPerTask = 32;

Index width_of_segments(Index q) {
  const Index even = (q + kMaxSegments - 1) / kMaxSegments;
  return std::max(kMinSegment, (even + kPanel - 1) / kPanel * kPanel);
}

}  // namespace

FacilityLocation::FacilityLocation(const float* s, Index n, Index q, std::vector<double> weights, double eta,
                                   ThreadPool& pool, const Poll& poll)
    : s_(s),
      n_(n),
      q_(q),
      weights_(std::move(weights)),
      eta_(eta),
      segment_width_(width_of_segments(q)),
      segments_((q + segment_width_ - 1) / segment_width_),
      memo_(static_cast<std::size_t>(q), 0.0F),
      memo_wide_(static_cast<std::size_t>(q), 0.0),
      modular_(static_cast<std::size_t>(n), 0.0),
      parts_(static_cast<std::size_t>(n * segments_)),
      parts_time_(static_cast<std::size_t>(n * segments_)),
      changed_(static_cast<std::size_t>(segments_), 0) {
  first_pass(pool, poll);
}

Index FacilityLocation::segment_length(Index segment) const {
  return std::min(segment_width_, q_ - segment_begin(segment));
}

void FacilityLocation::first_pass(ThreadPool& pool, const Poll& poll) {
  constexpr Index kRows = 256;
  std::atomic<Index> bad{n_};
  const Index tasks = (n_ + kRows - 1) / kRows;
  const Index group = 64 * static_cast<Index>(pool.size());
  for (Index first = 0; first < tasks; first += group) {
    pool.run(std::min(group, tasks - first), [&](Index task, int) {
      const Index begin = (first + task) * kRows;
      const Index end = std::min(n_, begin + kRows);
      for (Index row = begin; row < end; ++row) {
        float largest = 0.0F;
        bool finite = true;
        for (Index segment = 0; segment < segments_; ++segment) {
          const Index column = segment_begin(segment);
          const RowStart start =
              kernels().facility_start(s_ + row * q_ + column, weights_from(column), segment_length(segment));
          largest = std::max(largest, start.max);
          finite = finite && start.finite;
          parts_[static_cast<std::size_t>(row * segments_ + segment)] = start.gain;
          parts_time_[static_cast<std::size_t>(row * segments_ + segment)] = 0;
        }
        modular_[static_cast<std::size_t>(row)] = eta_ * static_cast<double>(largest);
        if (!finite) {
          Index seen = bad.load();
          while (row < seen && !bad.compare_exchange_weak(seen, row)) {
          }
        }
      }
    });
    poll();
  }
  if (bad.load() < n_)
    throw InputError("S", "finite values", "NaN or infinity in row " + std::to_string(bad.load()));
  untouched_ = true;
}

void FacilityLocation::reset(ThreadPool& pool, const Poll& poll) {
  std::fill(memo_.begin(), memo_.end(), 0.0F);
  std::fill(memo_wide_.begin(), memo_wide_.end(), 0.0);
  std::fill(changed_.begin(), changed_.end(), 0U);
  time_ = 0;
  if (!untouched_) first_pass(pool, poll);
}

double FacilityLocation::segment_gain(Index row, Index segment) const {
  const Index column = segment_begin(segment);
  return kernels().facility_gain(s_ + row * q_ + column, memo_.data() + column, memo_wide_.data() + column,
                                 weights_from(column), segment_length(segment));
}

double FacilityLocation::exact_gain(Index row) const {
  double sum = modular_[static_cast<std::size_t>(row)];
  for (Index segment = 0; segment < segments_; ++segment) sum += segment_gain(row, segment);
  return sum;
}

void FacilityLocation::gains(const Index* rows, Index count, double* out, ThreadPool& pool, const Poll&) {
  pool.run((count + kRowsPerTask - 1) / kRowsPerTask, [&](Index task, int) {
    const Index end = std::min(count, (task + 1) * kRowsPerTask);
    for (Index j = task * kRowsPerTask; j < end; ++j) out[j] = exact_gain(rows[j]);
  });
}

void FacilityLocation::start_bounds(double* out) const {
  for (Index row = 0; row < n_; ++row) {
    double sum = modular_[static_cast<std::size_t>(row)];
    for (Index segment = 0; segment < segments_; ++segment)
      sum += parts_[static_cast<std::size_t>(row * segments_ + segment)];
    out[row] = sum;
  }
}

double FacilityLocation::refine_row(Index row, double bound, double threshold) {
  double* part = parts_.data() + row * segments_;
  std::uint32_t* computed = parts_time_.data() + row * segments_;
  double running = bound;  // follows the bound up to rounding; decides only when to stop and sum properly
  for (;;) {
    // The oldest stale segment has had the longest time to fall.
    Index oldest = -1;
    for (Index segment = 0; segment < segments_; ++segment)
      if (computed[segment] < changed_[static_cast<std::size_t>(segment)] &&
          (oldest < 0 || computed[segment] < computed[oldest]))
        oldest = segment;
    if (oldest >= 0) {
      const double fresh = segment_gain(row, oldest);
      running -= part[oldest] - fresh;
      part[oldest] = fresh;
      computed[oldest] = time_;
      if (running >= threshold) continue;
    }
    double sum = modular_[static_cast<std::size_t>(row)];
    for (Index segment = 0; segment < segments_; ++segment) sum += part[segment];
    if (sum < threshold || oldest < 0) return sum;
    running = sum;
  }
}

void FacilityLocation::refine(const Index* rows, Index count, double threshold, double* out, ThreadPool& pool,
                              const Poll&) {
  pool.run((count + kRowsPerTask - 1) / kRowsPerTask, [&](Index task, int) {
    const Index end = std::min(count, (task + 1) * kRowsPerTask);
    for (Index j = task * kRowsPerTask; j < end; ++j) out[j] = refine_row(rows[j], out[j], threshold);
  });
}

void FacilityLocation::commit(Index row, ThreadPool&) {
  ++time_;
  untouched_ = false;
  const float* s = s_ + row * q_;
  for (Index segment = 0; segment < segments_; ++segment) {
    const Index begin = segment_begin(segment);
    const Index end = begin + segment_length(segment);
    for (Index c = begin; c < end; ++c) {
      const auto column = static_cast<std::size_t>(c);
      if (s[c] <= memo_[column]) continue;
      memo_[column] = s[c];
      memo_wide_[column] = static_cast<double>(s[c]);
      changed_[static_cast<std::size_t>(segment)] = time_;
    }
  }
}

double FacilityLocation::evaluate(const Index* rows, Index count) {
  double value = 0.0;
  for (Index c = 0; c < q_; ++c) {
    float largest = 0.0F;
    for (Index j = 0; j < count; ++j) largest = std::max(largest, s_[rows[j] * q_ + c]);
    value += (weights_.empty() ? 1.0 : weights_[static_cast<std::size_t>(c)]) * static_cast<double>(largest);
  }
  std::vector<Index> members(rows, rows + count);
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  for (const Index row : members) value += modular_[static_cast<std::size_t>(row)];
  return value;
}

}  // namespace albench
