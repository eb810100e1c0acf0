#include "albench/row_sums.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace albench {
namespace {

// What is no number stays.
double positive(float s) {
  return s <= 0.0F ? 0.0 : static_cast<double>(s);
}

double psi_of(Concave psi, double x) {
  switch (psi) {
    case Concave::sqrt:
      return std::sqrt(x);
    case Concave::log:
      return std::log1p(x);
    case Concave::inverse:
      break;
  }
  return x / (1.0 + x);
}

// psi(memo + s) - psi(memo) in a form without cancellation.
double psi_rise(Concave psi, double memo, double s) {
  switch (psi) {
    case Concave::sqrt:
      return s == 0.0 ? 0.0 : s / (std::sqrt(memo + s) + std::sqrt(memo));
    case Concave::log:
      return std::log1p(s / (1.0 + memo));
    case Concave::inverse:
      break;
  }
  return s / ((1.0 + memo) * (1.0 + memo + s));
}

// As facility_start, with negative similarities as they are. Lanes in a fixed order: the sum does not depend
// on the processor.
RowStart signed_start(const float* s, const double* w, Index n) {
  double lane[kLanes] = {};
  bool finite = true;
  for (Index c = 0; c < n; ++c) {
    finite = finite && std::isfinite(s[c]);
    const auto wide = static_cast<double>(s[c]);
    lane[c % kLanes] += w != nullptr ? w[c] * wide : wide;
  }
  return {std::accumulate(lane, lane + kLanes, 0.0), 0.0F, finite};
}

std::vector<Index> distinct(const Index* rows, Index count) {
  std::vector<Index> members(rows, rows + count);
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  return members;
}

}  // namespace

RowSums::RowSums(Source source, std::vector<double> weights, Negative negative, ThreadPool& pool,
                 const Poll& poll)
    : source_(std::move(source)),
      weights_(std::move(weights)),
      sums_(static_cast<std::size_t>(source_.rows())) {
  BadRow bad(source_.rows());
  std::vector<Index> all(sums_.size());
  std::iota(all.begin(), all.end(), Index{0});
  for_rows(all.data(), source_.rows(), pool, poll, [&](Index j, const float* s) {
    const double* w = weights_.empty() ? nullptr : weights_.data();
    const RowStart start = negative == Negative::clip ? kernels().facility_start(s, w, source_.cols())
                                                      : signed_start(s, w, source_.cols());
    sums_[static_cast<std::size_t>(j)] = start.gain;
    if (!start.finite) bad.report(j);
  });
  bad.throw_if_any(source_.argument());
}

void RowSums::for_rows(const Index* rows, Index count, ThreadPool& pool, const Poll& poll,
                       const std::function<void(Index, const float*)>& use) {
  const Index q = source_.cols();
  const bool dense = source_.dense() != nullptr;
  const Index block = dense ? 32 : kLanesOfBlock;
  const Index tasks = (count + block - 1) / block;
  scratch_.resize(std::max(scratch_.size(), static_cast<std::size_t>(pool.size())));
  pool.run(
      tasks,
      [&](Index task, int worker) {
        const Index begin = task * block;
        const Index end = std::min(count, begin + block);
        if (dense) {
          for (Index j = begin; j < end; ++j) use(j, source_.dense() + rows[j] * q);
          return;
        }
        TileScratch& scratch = scratch_[static_cast<std::size_t>(worker)];
        scratch.values.resize(static_cast<std::size_t>(block * q));
        source_.read(rows + begin, end - begin, scratch.values.data(), scratch);
        for (Index j = begin; j < end; ++j) use(j, scratch.values.data() + (j - begin) * q);
      },
      poll);
}

GraphCut::GraphCut(Source source, std::vector<double> weights, double lambda, Negative negative,
                   ThreadPool& pool, const Poll& poll)
    : RowSums(std::move(source), std::move(weights), negative, pool, poll), factor_(2.0 * lambda) {
  std::vector<double> start(sums_.size());
  start_bounds(start.data());
  require_representable(start);
}

void GraphCut::gains(const Index* rows, Index count, double* out, ThreadPool&, const Poll&) {
  for (Index j = 0; j < count; ++j) out[j] = factor_ * sums_[static_cast<std::size_t>(rows[j])];
}

void GraphCut::start_bounds(double* out) const {
  std::transform(sums_.begin(), sums_.end(), out, [&](double sum) { return factor_ * sum; });
}

double GraphCut::evaluate(const Index* rows, Index count) {
  double value = 0.0;
  for (const Index row : distinct(rows, count)) value += factor_ * sums_[static_cast<std::size_t>(row)];
  return value;
}

ConcaveOverModular::ConcaveOverModular(Source source, std::vector<double> weights, double eta, Concave psi,
                                       ThreadPool& pool, const Poll& poll)
    : RowSums(std::move(source), std::move(weights), Negative::clip, pool, poll),
      eta_(eta),
      psi_(psi),
      memo_(static_cast<std::size_t>(source_.cols()), 0.0),
      start_(sums_.size()) {
  std::vector<Index> all(sums_.size());
  std::iota(all.begin(), all.end(), Index{0});
  gains(all.data(), source_.rows(), start_.data(), pool, poll);
  require_representable(start_);
}

double ConcaveOverModular::gain_of(Index row, const float* s) const {
  double rise = 0.0;
  for (Index c = 0; c < source_.cols(); ++c)
    rise += weight(c) * psi_rise(psi_, memo_[static_cast<std::size_t>(c)], positive(s[c]));
  return eta_ * psi_of(psi_, sums_[static_cast<std::size_t>(row)]) + rise;
}

void ConcaveOverModular::reset(ThreadPool&, const Poll&) {
  std::fill(memo_.begin(), memo_.end(), 0.0);
}

void ConcaveOverModular::gains(const Index* rows, Index count, double* out, ThreadPool& pool,
                               const Poll& poll) {
  for_rows(rows, count, pool, poll, [&](Index j, const float* s) { out[j] = gain_of(rows[j], s); });
}

void ConcaveOverModular::start_bounds(double* out) const {
  std::copy(start_.begin(), start_.end(), out);
}

void ConcaveOverModular::commit(Index row, ThreadPool&) {
  std::vector<float> s(static_cast<std::size_t>(source_.cols()));
  source_.read(&row, 1, s.data(), scratch_.front());
  source_.require_finite(row, s.data());
  for (std::size_t c = 0; c < s.size(); ++c) memo_[c] += positive(s[c]);
}

double ConcaveOverModular::evaluate(const Index* rows, Index count) {
  std::vector<float> s(static_cast<std::size_t>(source_.cols()));
  std::vector<double> sum(s.size(), 0.0);
  TileScratch scratch;
  double value = 0.0;
  for (const Index row : distinct(rows, count)) {
    source_.read(&row, 1, s.data(), scratch);
    source_.require_finite(row, s.data());
    for (std::size_t c = 0; c < s.size(); ++c) sum[c] += positive(s[c]);
    value += eta_ * psi_of(psi_, sums_[static_cast<std::size_t>(row)]);
  }
  for (std::size_t c = 0; c < s.size(); ++c) value += weight(static_cast<Index>(c)) * psi_of(psi_, sum[c]);
  return value;
}

}  // namespace albench
