#include "albench/distances.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "albench/kernels.hpp"
#include "albench/random.hpp"
#include "albench/source.hpp"

namespace albench {
namespace {

constexpr Index kRowsPerTask = 64;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Squared distance of every row to the nearest centre so far.
class Nearest {
 public:
  Nearest(const Features& x, ThreadPool& pool, const Poll& poll)
      : x_(x),
        pool_(pool),
        poll_(poll),
        square_(static_cast<std::size_t>(x.rows), kInfinity),
        buffer_(static_cast<std::size_t>(pool.size())),
        centre_(static_cast<std::size_t>(x.cols)) {}

  const std::vector<double>& squares() const { return square_; }
  double& square(Index row) { return square_[static_cast<std::size_t>(row)]; }

  void add(const Features& from, Index row) {
    from.load(row, 0, x_.cols, centre_.data());
    rows([&](Index i, const float* values) {
      double sum = 0.0;
      for (Index k = 0; k < x_.cols; k += kChunk) {
        const Index depth = std::min(kChunk, x_.cols - k);
        sum += kernels().squared_distance(values + k, centre_.data() + k, depth);
      }
      square(i) = std::min(square(i), sum);
    });
  }

  std::vector<double> norms(const char* argument) {
    std::vector<double> norm(square_.size());
    BadRow bad(x_.rows);
    rows([&](Index i, const float* values) {
      norm[static_cast<std::size_t>(i)] = kernels().sum_of_squares(values, x_.cols);
      if (!std::isfinite(norm[static_cast<std::size_t>(i)])) bad.report(i);
    });
    bad.throw_if_any(argument);
    return norm;
  }

 private:
  template <class Use>
  void rows(const Use& use) {
    const bool direct = x_.number == Number::float32 && x_.col_stride == static_cast<Index>(sizeof(float)) &&
                        reinterpret_cast<std::uintptr_t>(x_.data) % alignof(float) == 0 &&
                        x_.row_stride % static_cast<Index>(alignof(float)) == 0;
    pool_.run((x_.rows + kRowsPerTask - 1) / kRowsPerTask, [&](Index task, int worker) {
      std::vector<float>& buffer = buffer_[static_cast<std::size_t>(worker)];
      buffer.resize(static_cast<std::size_t>(x_.cols));
      for (Index i = task * kRowsPerTask; i < std::min(x_.rows, (task + 1) * kRowsPerTask); ++i) {
        if (direct) {
          use(i, reinterpret_cast<const float*>(x_.data + i * x_.row_stride));
        } else {
          x_.load(i, 0, x_.cols, buffer.data());
          use(i, buffer.data());
        }
      }
    });
    if (poll_) poll_();
  }

  const Features& x_;
  ThreadPool& pool_;
  const Poll& poll_;
  std::vector<double> square_;
  std::vector<std::vector<float>> buffer_;
  std::vector<float> centre_;
};

Index farthest(const std::vector<double>& square, const std::vector<std::uint8_t>& taken) {
  Index best = -1;
  for (std::size_t i = 0; i < square.size(); ++i)
    if (taken[i] == 0 && (best < 0 || square[i] > square[static_cast<std::size_t>(best)]))
      best = static_cast<Index>(i);
  return best;
}

}  // namespace

std::vector<Index> kcenter_greedy(const Features& x, Index budget, const Features* centres,
                                  const std::vector<Index>& taken, ThreadPool& pool, const Poll& poll) {
  Nearest nearest(x, pool, poll);
  (void)nearest.norms("X");
  std::vector<std::uint8_t> used(static_cast<std::size_t>(x.rows), 0);
  if (centres != nullptr) {
    ThreadPool alone(1);
    (void)Nearest(*centres, alone, poll).norms("labelled");
    for (Index c = 0; c < centres->rows; ++c) nearest.add(*centres, c);
  }
  for (const Index i : taken) {
    used[static_cast<std::size_t>(i)] = 1;
    nearest.add(x, i);
  }
  std::vector<Index> chosen;
  while (static_cast<Index>(chosen.size()) < budget) {
    const Index i = farthest(nearest.squares(), used);
    used[static_cast<std::size_t>(i)] = 1;
    chosen.push_back(i);
    if (static_cast<Index>(chosen.size()) < budget) nearest.add(x, i);
  }
  return chosen;
}

std::vector<Index> kmeans_plusplus(const Features& x, Index budget, std::uint64_t seed, ThreadPool& pool,
                                   const Poll& poll) {
  Nearest nearest(x, pool, poll);
  const std::vector<double> norm = nearest.norms("X");
  Random random(seed);
  std::vector<std::uint8_t> used(static_cast<std::size_t>(x.rows), 0);
  std::vector<Index> chosen{farthest(norm, used)};
  std::vector<double> cumulative(norm.size());
  for (;;) {
    used[static_cast<std::size_t>(chosen.back())] = 1;
    if (static_cast<Index>(chosen.size()) == budget) return chosen;
    nearest.add(x, chosen.back());
    double sum = 0.0;
    for (std::size_t i = 0; i < cumulative.size(); ++i) {
      if (used[i] == 0) sum += nearest.squares()[i];
      cumulative[i] = sum;
    }
    if (sum > 0.0) {
      // The first row whose cumulative weight exceeds the draw; never one of weight 0.
      const double draw = random.uniform() * sum;
      auto at = std::upper_bound(cumulative.begin(), cumulative.end(), draw);
      if (at == cumulative.end()) at = std::lower_bound(cumulative.begin(), cumulative.end(), sum);
      chosen.push_back(static_cast<Index>(at - cumulative.begin()));
    } else {
      chosen.push_back(static_cast<Index>(std::find(used.begin(), used.end(), 0) - used.begin()));
    }
  }
}

}  // namespace albench
