// Quantised bounds against gains computed from their definition.
#include <algorithm>
#include <limits>
#include <numeric>

#include "albench/quantised_bounds.hpp"
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
  float covered = 0.0F;  // of every column, before anything is chosen

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
  const std::vector<float> start(static_cast<std::size_t>(in.cols), in.covered);
  in.memo = start;
  const Source source(in.s.data(), in.rows, in.cols);
  QuantisedBounds bounds({source, in.weights, in.modular, in.memo}, in.rows, limit);
  TileScratch scratch;
  bounds.store(0, in.rows, in.s.data(), scratch);
  std::vector<Index> every(static_cast<std::size_t>(in.rows));
  std::iota(every.begin(), every.end(), Index{0});
  double worst = 0.0;
  for (int round = 0; round < 2; ++round) {  // a reset forgets everything
    std::copy(start.begin(), start.end(), in.memo.begin());
    bounds.reset();
    std::vector<double> known(every.size(), std::numeric_limits<double>::infinity());
    Random random(4);
    for (int step = 0; step < 30; ++step) {
      const Index chosen = random.below(in.rows);
      std::vector<MemoChange> changes;
      for (Index c = 0; c < in.cols; ++c) {
        float& memo = in.memo[static_cast<std::size_t>(c)];
        const float value = in.s[static_cast<std::size_t>(chosen * in.cols + c)];
        if (value <= memo) continue;
        changes.push_back({c, memo, value});
        memo = value;
      }
      bounds.committed(changes);
      std::vector<Index> some;
      for (Index row = step % 3 == 0 ? 0 : random.below(in.rows); row < in.rows; row += kLanesOfBlock)
        some.push_back(row);
      bounds.lower(every.data(), some, 0.0, known.data(), pool, Poll());
      for (Index row = 0; row < in.rows; ++row) {
        const double over = known[static_cast<std::size_t>(row)] - in.gain(row);
        CHECK(over >= 0.0);
        if (std::find(some.begin(), some.end(), row) != some.end()) worst = std::max(worst, over);
      }
    }
  }
  return worst;
}

ALBENCH_TEST(quantised_bounds_are_bounds_and_close) {
  for (const Index rows : {Index{1}, Index{63}, Index{200}}) {
    for (const Index cols : {Index{1}, Index{33}, Index{120}}) {
      const auto area = static_cast<std::size_t>(rows * cols);
      Instance in{rows, cols, gaussian(rows * cols, area), {}, {}, {}, 0.0F};
      in.modular.assign(static_cast<std::size_t>(rows), 0.5);
      // One quantum of s and one of the memo a column, where all similarities fit.
      CHECK(compare(in, 8.0F) <= static_cast<double>(cols) * 2.01 * 8.0 / 255.0);
      // Where some do not they are kept apart, up to eight a row; where none do, bounds hold all the same.
      CHECK(compare(in, 2.5F) <= static_cast<double>(cols) * 2.01 * 2.5 / 255.0);
      compare(in, 0.01F);
      in.covered = 0.7F;
      CHECK(compare(in, 2.5F) <= static_cast<double>(cols) * 2.01 * 2.5 / 255.0);
      for (Index c = 0; c < cols; ++c) in.weights.push_back(0.3 * static_cast<double>(c % 5));
      const double heaviest = *std::max_element(in.weights.begin(), in.weights.end());
      CHECK(compare(in, 2.5F) <= static_cast<double>(cols) * heaviest * (2.01 * 2.5 / 255.0 + 7.0 / 1023.0));
    }
  }
}

ALBENCH_TEST(a_limit_leaves_few_similarities_above) {
  std::vector<float> sample = gaussian(40'000, 3);
  const std::vector<float> all = sample;
  const float limit = QuantisedBounds::choose_limit(sample);
  const auto over = std::count_if(all.begin(), all.end(), [&](float s) { return s > limit; });
  CHECK(over >= 1 && over <= 4);
  std::vector<float> nothing = {0.0F, -1.0F, NAN, INFINITY};
  CHECK(QuantisedBounds::choose_limit(nothing) == 0.0F);
}

}  // namespace
}  // namespace albench::tests
