// Bounds of a shadow against gains computed from their definition.
#include <algorithm>

#include "albench/shadow.hpp"
#include "check.hpp"
#include "data.hpp"

namespace albench::tests {
namespace {

struct Instance {
  Index rows;
  Index cols;
  std::vector<float> s;
  std::vector<double> weights;
  std::vector<double> modular;
  std::vector<float> memo;

  double weight(Index c) const { return weights.empty() ? 1.0 : weights[static_cast<std::size_t>(c)]; }
  double gain(Index row) const {
    double sum = 0.0;
    for (Index c = 0; c < cols; ++c) {
      const double value = s[static_cast<std::size_t>(row * cols + c)];
      sum += weight(c) * std::max(0.0, value - static_cast<double>(memo[static_cast<std::size_t>(c)]));
    }
    return modular[static_cast<std::size_t>(row)] + sum;
  }
};

// Commits random rows, lets some blocks catch up, and compares; returns the largest error of a bound.
double compare(Instance& in, float limit) {
  ThreadPool pool(2);
  Shadow shadow(in.rows, in.cols, limit, in.weights, in.modular.data());
  shadow.store(0, in.rows, in.s.data());
  double worst = 0.0;
  for (int round = 0; round < 2; ++round) {  // a reset forgets everything
    shadow.reset();
    std::fill(in.memo.begin(), in.memo.end(), 0.0F);
    Random random(4);
    for (int step = 0; step < 30; ++step) {
      const Index chosen = random.below(in.rows);
      for (Index c = 0; c < in.cols; ++c) {
        float& memo = in.memo[static_cast<std::size_t>(c)];
        const float value = in.s[static_cast<std::size_t>(chosen * in.cols + c)];
        if (value <= memo) continue;
        shadow.raise(c, memo, value);
        memo = value;
      }
      shadow.committed();
      std::vector<Index> blocks;
      for (Index row = step % 3 == 0 ? 0 : random.below(in.rows); row < in.rows; row += kLanesOfBlock)
        shadow.want(row, blocks);
      const std::vector<Index> fresh = blocks;
      shadow.catch_up(blocks, in.memo, pool, Poll());
      for (Index row = 0; row < in.rows; ++row) {
        const double over = shadow.bound(row) - in.gain(row);
        CHECK(over >= 0.0);
        if (std::find(fresh.begin(), fresh.end(), row / kLanesOfBlock) != fresh.end())
          worst = std::max(worst, over);
      }
    }
  }
  return worst;
}

ALBENCH_TEST(shadows_bound_gains_from_above_and_closely) {
  for (const Index rows : {Index{1}, Index{63}, Index{200}}) {
    for (const Index cols : {Index{1}, Index{33}, Index{120}}) {
      const auto area = static_cast<std::size_t>(rows * cols);
      Instance in{rows, cols, gaussian(rows * cols, area), {}, {}, {}};
      in.modular.assign(static_cast<std::size_t>(rows), 0.5);
      in.memo.assign(static_cast<std::size_t>(cols), 0.0F);
      // One quantum of s and one of the memo a column, where all similarities fit.
      CHECK(compare(in, 8.0F) <= static_cast<double>(cols) * 2.01 * 8.0 / 255.0);
      // Where some do not they are kept apart, up to eight a row; where none do, bounds hold all the same.
      CHECK(compare(in, 2.5F) <= static_cast<double>(cols) * 2.01 * 2.5 / 255.0);
      compare(in, 0.01F);
      for (Index c = 0; c < cols; ++c) in.weights.push_back(0.3 * static_cast<double>(c % 5));
      const double heaviest = *std::max_element(in.weights.begin(), in.weights.end());
      CHECK(compare(in, 2.5F) <= static_cast<double>(cols) * heaviest * (2.01 * 2.5 / 255.0 + 7.0 / 1023.0));
    }
  }
}

ALBENCH_TEST(a_limit_leaves_few_similarities_above) {
  std::vector<float> sample = gaussian(40'000, 3);
  const std::vector<float> all = sample;
  const float limit = Shadow::choose_limit(sample);
  const auto over = std::count_if(all.begin(), all.end(), [&](float s) { return s > limit; });
  CHECK(over >= 1 && over <= 4);
  std::vector<float> nothing = {0.0F, -1.0F, NAN, INFINITY};
  CHECK(Shadow::choose_limit(nothing) == 0.0F);
}

}  // namespace
}  // namespace albench::tests
