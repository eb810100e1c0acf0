// The parts together: the pool, sampling, and equal selections in every mode at every thread count.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "albench/bounds.hpp"
#include "albench/buffer.hpp"
#include "albench/distances.hpp"
#include "albench/facility_location.hpp"
#include "albench/log_determinant.hpp"
#include "albench/optimizers.hpp"
#include "albench/quantised_bounds.hpp"
#include "albench/row_sums.hpp"
#include "check.hpp"
#include "data.hpp"

namespace albench::tests {
namespace {

ALBENCH_TEST(pool_runs_every_task_once_and_passes_on_exceptions) {
  for (const int n_threads : {1, 2, 5}) {
    ThreadPool pool(n_threads);
    for (int round = 0; round < 200; ++round) {
      std::vector<int> done(97, 0);
      pool.run(97, [&](Index task, int worker) {
        CHECK(worker >= 0 && worker < n_threads);
        ++done[static_cast<std::size_t>(task)];
      });
      for (const int times : done) CHECK(times == 1);
    }
    const auto broken = [&] {
      pool.run(50, [](Index task, int) {
        if (task == 7) throw std::runtime_error("seven");
      });
    };
    CHECK_THROWS(broken(), std::runtime_error);
    Index ran = 0;
    pool.run(1, [&](Index, int) { ++ran; });
    CHECK(ran == 1);
  }
}

ALBENCH_TEST(pools_end_without_waiting_for_workers_that_have_nothing_in_hand) {
  for (int k = 0; k < 300; ++k) {
    std::vector<int> done(3, 0);
    {
      ThreadPool pool(4);
      for (int round = 0; round < k % 3; ++round) {
        pool.run(3, [&](Index task, int) { ++done[static_cast<std::size_t>(task)]; });
      }
    }
    for (const int times : done) CHECK(times == k % 3);
  }
}

ALBENCH_TEST(every_page_of_a_large_block_is_brought_in) {
  constexpr std::size_t kPage = 4096;
  for (const int n_threads : {1, 3}) {
    ThreadPool pool(n_threads);
    for (const std::size_t size : {std::size_t{100}, std::size_t{4194304}, std::size_t{9000001}}) {
      Buffer<std::uint8_t> buffer(size);
      std::fill_n(buffer.data(), size, std::uint8_t{1});
      buffer.touch(pool);
      if (n_threads == 1 || size < 4194304) continue;  // left to whoever writes it
      for (std::size_t at = 0; at < size; at += kPage) {
        const std::uint8_t* from = buffer.data() + at;
        CHECK(at + kPage > size || std::find(from, from + kPage, 0) != from + kPage);
      }
    }
  }
}

ALBENCH_TEST(a_sample_of_bounds_tells_how_many_reach_a_threshold) {
  for (const Index n : {Index{5}, Index{1000}, Index{100000}}) {
    Bounds bounds(n);
    for (Index i = 0; i < n; ++i) bounds.set(i, static_cast<double>(i * 7919 % n));
    bounds.settle_all();
    for (const double share : {0.5, 0.9}) {
      const double threshold = share * static_cast<double>(n);
      const Bounds::Sample some = bounds.sample(threshold);
      const double expected = (1.0 - share) * static_cast<double>(n);
      const double told = static_cast<double>(some.values.size()) * some.times;
      CHECK(std::fabs(told - expected) <= 1.0 + 0.2 * expected);
      CHECK(some.values.size() <= 8192);
      for (const double value : some.values) CHECK(value >= threshold);
    }
    CHECK(bounds.sample(static_cast<double>(n)).values.empty());
  }
}

ALBENCH_TEST(random_numbers_cover_their_range) {
  Random random(5);
  std::vector<int> seen(7, 0);
  for (int k = 0; k < 7000; ++k) ++seen[static_cast<std::size_t>(random.below(7))];
  for (const int times : seen) CHECK(times > 850 && times < 1150);
  for (int k = 0; k < 1000; ++k) {
    const double u = random.uniform();
    CHECK(u >= 0.0 && u < 1.0);
  }
}

Source prepared(const Features& x, const QueryPanels& panels, ThreadPool& pool) {
  Source source(x, panels);
  source.prepare(pool, Poll());
  return source;
}

GreedyOptions options(Optimizer optimizer, Index n, Index budget) {
  GreedyOptions out;
  out.optimizer = optimizer;
  out.budget = budget;
  out.candidates.resize(static_cast<std::size_t>(n));
  std::iota(out.candidates.begin(), out.candidates.end(), Index{0});
  out.seed = 3;
  out.epsilon = 0.2;
  return out;
}

ALBENCH_TEST(every_mode_and_thread_count_chooses_alike) {
  constexpr Index n = 700;
  constexpr Index q = 150;
  constexpr Index d = 40;
  const std::vector<float> x = gaussian(n * d, 11);
  const std::vector<float> queries = gaussian(q * d, 12);
  std::vector<double> weights(static_cast<std::size_t>(q));
  for (std::size_t c = 0; c < weights.size(); ++c) weights[c] = 0.5 + 0.01 * static_cast<double>(c);
  ThreadPool alone(1);
  const QueryPanels panels(view(queries, q, d), Metric::cosine, nullptr, alone);
  std::vector<float> s(static_cast<std::size_t>(n * q));
  similarity(view(x, n, d), panels, s.data(), alone, Poll());

  FacilityLocation plain(Source(s.data(), n, q), weights, 0.5, {}, 0, alone, Poll());
  const Selection expected = maximize(plain, options(Optimizer::naive, n, 90), alone);
  const Selection sampled = maximize(plain, options(Optimizer::stochastic, n, 90), alone);
  for (const int n_threads : {1, 2, 4}) {
    ThreadPool pool(n_threads);
    for (const Index bytes :
         {Index{0}, 300 * QuantisedBounds::bytes_per_row(q), 800 * QuantisedBounds::bytes_per_row(q)}) {
      FacilityLocation given(Source(s.data(), n, q), weights, 0.5, {}, bytes, pool, Poll());
      FacilityLocation made(prepared(view(x, n, d), panels, pool), weights, 0.5, {}, bytes, pool, Poll());
      for (FacilityLocation* f : {&given, &made}) {
        const Selection lazy = maximize(*f, options(Optimizer::lazy, n, 90), pool);
        CHECK(lazy.indices == expected.indices);
        CHECK(lazy.gains == expected.gains);
        const Selection lazier = maximize(*f, options(Optimizer::lazier, n, 90), pool);
        CHECK(lazier.indices == sampled.indices);
        CHECK(lazier.gains == sampled.gains);
      }
    }
  }
}

ALBENCH_TEST(other_functions_run_threaded) {
  constexpr Index n = 300;
  constexpr Index q = 20;
  constexpr Index d = 10;
  const std::vector<float> x = gaussian(n * d, 21);
  const std::vector<float> queries = gaussian(q * d, 22);
  ThreadPool one(1);
  const QueryPanels panels(view(queries, q, d), Metric::cosine, nullptr, one);
  std::vector<float> among(static_cast<std::size_t>(q * q));
  similarity(view(queries, q, d), panels, among.data(), one, Poll());
  std::vector<std::vector<Index>> chosen;
  for (const int n_threads : {1, 3}) {
    ThreadPool pool(n_threads);
    ConcaveOverModular concave(prepared(view(x, n, d), panels, pool), {}, 1.0, Concave::log, pool, Poll());
    chosen.push_back(maximize(concave, options(Optimizer::lazy, n, 25), pool).indices);
    GraphCut cut(prepared(view(x, n, d), panels, pool), {}, 1.0, Negative::clip, pool, Poll());
    chosen.push_back(maximize(cut, options(Optimizer::lazy, n, 25), pool).indices);
    LogDeterminant information(GroundKernel(view(x, n, d), Metric::cosine, {}),
                               prepared(view(x, n, d), panels, pool), among.data(), 1.0, 0.5, pool, Poll());
    chosen.push_back(maximize(information, options(Optimizer::naive, n, 25), pool).indices);
    CHECK_THROWS(maximize(information, options(Optimizer::lazy, n, 25), pool), InputError);
    chosen.push_back(kcenter_greedy(view(x, n, d), 25, nullptr, {3, 4}, pool, Poll()));
    chosen.push_back(kmeans_plusplus(view(x, n, d), 25, 7, pool, Poll()));
  }
  for (std::size_t k = 0; k < 5; ++k) CHECK(chosen[k] == chosen[k + 5]);
}

ALBENCH_TEST(a_poll_that_throws_ends_the_work) {
  const std::vector<float> s = gaussian(2000 * 30, 31);
  ThreadPool pool(2);
  FacilityLocation f(Source(s.data(), 2000, 30), {}, 1.0, {}, 0, pool, Poll());
  GreedyOptions interrupted = options(Optimizer::naive, 2000, 50);
  int calls = 0;
  interrupted.poll = [&] {
    if (++calls == 5) throw std::runtime_error("stop");
  };
  CHECK_THROWS(maximize(f, interrupted, pool), std::runtime_error);
  CHECK(calls == 5);
}

}  // namespace
}  // namespace albench::tests
