#include "albench/source.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace albench {
namespace {

constexpr Index kRowsPerTask = 1024;

}  // namespace

void Source::prepare(ThreadPool& pool, const Poll& poll) {
  if (dense_ != nullptr) return;
  norms_.resize(static_cast<std::size_t>(n_));
  BadRow bad(n_);
  const Index tasks = (n_ + kRowsPerTask - 1) / kRowsPerTask;
  std::vector<TileScratch> scratch(static_cast<std::size_t>(pool.size()));
  pool.run(
      tasks,
      [&](Index task, int worker) {
        for (Index row = task * kRowsPerTask; row < std::min(n_, (task + 1) * kRowsPerTask); ++row) {
          const double squares = panels_->squares(x_, row, scratch[static_cast<std::size_t>(worker)]);
          if (!panels_->fits(squares)) bad.report(row);
          norms_[static_cast<std::size_t>(row)] = QueryPanels::inverse_norm(squares);
        }
      },
      poll);
  bad.throw_if_any("X");
}

void Source::cap(std::vector<float> caps, ThreadPool& pool) {
  caps_ = std::move(caps);
  if (dense_ == nullptr) return;
  Buffer<float> cut(static_cast<std::size_t>(n_ * q_));
  cut.touch(pool);
  pool.run(n_, [&](Index row, int) {
    for (Index c = 0; c < q_; ++c)
      cut.data()[row * q_ + c] = std::min(dense_[row * q_ + c], caps_[static_cast<std::size_t>(c)]);
  });
  owned_ = std::move(cut);
  dense_ = owned_.data();
}

void Source::hold(ThreadPool& pool, const Poll& poll) {
  if (dense_ != nullptr) return;
  Buffer<float> all(static_cast<std::size_t>(n_ * q_));
  similarity(x_, *panels_, all.data(), pool, poll);
  owned_ = std::move(all);
  dense_ = owned_.data();
}

void Source::read(const Index* rows, Index count, float* out, TileScratch& scratch) const {
  if (dense_ != nullptr) {
    for (Index r = 0; r < count; ++r) std::copy_n(dense_ + rows[r] * q_, q_, out + r * q_);
    return;
  }
  read_selected(rows, count, *panels_, q_, out, q_, scratch);
  if (caps_.empty()) return;
  for (Index r = 0; r < count; ++r)
    for (Index c = 0; c < q_; ++c)
      out[r * q_ + c] = std::min(out[r * q_ + c], caps_[static_cast<std::size_t>(c)]);
}

void Source::read_selected(const Index* rows, Index count, const QueryPanels& selection, Index cols,
                           float* out, Index ldo, TileScratch& scratch) const {
  // One factor a row is all that `tile` needs besides the features.
  scratch.factors.resize(static_cast<std::size_t>(count));
  for (Index r = 0; r < count; ++r)
    scratch.factors[static_cast<std::size_t>(r)] = norms_[static_cast<std::size_t>(rows[r])];
  selection.tile(x_, rows, count, 0, cols, out, ldo, scratch.factors.data(), nullptr, scratch);
}

}  // namespace albench
