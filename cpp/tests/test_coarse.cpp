// Features in small integers: their products, and the bounds made of them.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "albench/coarse_bounds.hpp"
#include "albench/facility_location.hpp"
#include "albench/optimizers.hpp"
#include "check.hpp"
#include "data.hpp"

namespace albench::tests {
namespace {

std::vector<const KernelTable*> with_products() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : {neon_kernels(), avx2_kernels(), plain_avx512_kernels(), avx512_kernels()})
    if (table != nullptr && table->coarse_dot != nullptr) tables.push_back(table);
  return tables;
}

// Numbers as large as they may be: their sums wrap around on the way and have to come back.
ALBENCH_TEST(products_of_small_integers_are_exact) {
  for (const KernelTable* table : with_products()) {
    for (const Index depth : {Index{4}, Index{60}, Index{64}, Index{68}, Index{200}}) {
      const Index stride = coarse_row_bytes(depth);
      for (const int most : {22, 45}) {  // flat rows and columns at the norms allowed, and any numbers
        constexpr Index rows = 2 * kMicroRows + 3;
        std::vector<std::int8_t> x(static_cast<std::size_t>(rows * stride), 0);
        std::vector<std::uint8_t> panel(static_cast<std::size_t>(depth * kPanel));
        Random random(static_cast<std::uint64_t>(depth + most));
        for (Index r = 0; r < rows; ++r) {
          for (Index k = 0; k < depth; ++k) {
            const auto value =
                static_cast<std::int8_t>(r == 0 ? most : static_cast<int>(random.below(2 * most + 1)) - most);
            x[static_cast<std::size_t>(r * stride + k)] = value;
          }
          write_starts(x.data() + r * stride, depth);
        }
        for (std::size_t at = 0; at < panel.size(); ++at)
          panel[at] = static_cast<std::uint8_t>(
              kCoarseZero + (at / 4 % 5 == 0 ? -22 : static_cast<int>(random.below(45)) - 22));
        for (const Index cols : {1, 7, 15, 16, 17, 31, 47, 48}) {
          std::vector<std::int32_t> c(static_cast<std::size_t>(rows * cols));
          table->coarse_dot(x.data(), stride, rows, panel.data(), depth, c.data(), cols, cols);
          for (Index r = 0; r < rows; ++r)
            for (Index j = 0; j < cols; ++j) {
              std::int32_t sum = 0;
              for (Index k = 0; k < depth; ++k)
                sum += x[static_cast<std::size_t>(r * stride + k)] *
                       (panel[static_cast<std::size_t>(k / kQuad * kQuad * kPanel + j * kQuad + k % kQuad)] -
                        kCoarseZero);
              CHECK(c[static_cast<std::size_t>(r * cols + j)] == sum);
            }
        }
      }
    }
  }
}

ALBENCH_TEST(coarse_similarities_are_compared_and_clamped) {
  for (const KernelTable* table : {&portable_kernels(), neon_kernels(), avx2_kernels(), avx512_kernels()}) {
    if (table == nullptr) continue;
    for (const Index n : {1, 5, 15, 16, 17, 40, 1030}) {
      const auto seed = static_cast<std::uint64_t>(n);
      const std::vector<float> s = gaussian(n, seed);
      const std::vector<float> low = gaussian(n, seed + 1);
      std::vector<float> high = gaussian(n, seed + 2);
      std::vector<float> factors = gaussian(n, seed + 3);
      std::vector<float> w = gaussian(n, seed + 4);
      std::vector<std::int32_t> products;
      Random random(seed);
      float below = -std::numeric_limits<float>::infinity();
      float largest = 0.0F;
      double plain = 0.0;
      double weighted = 0.0;
      for (std::size_t c = 0; c < s.size(); ++c) {
        high[c] = std::max(high[c], low[c]);
        factors[c] = std::fabs(factors[c]) * 1e-3F;
        w[c] = std::fabs(w[c]);
        products.push_back(static_cast<std::int32_t>(random.below(20001)) - 10000);
        const float v = static_cast<float>(products[c]) * (factors[c] * 0.5F);
        below = std::max(below, s[c] - v);
        largest = std::max(largest, std::fabs(v));
        const double rise = std::min(std::max(static_cast<double>(v) + 0.25, static_cast<double>(low[c])),
                                     static_cast<double>(high[c])) -
                            static_cast<double>(low[c]);
        plain += rise;
        weighted += rise * static_cast<double>(w[c]);
      }
      const CoarseError error = table->coarse_error(products.data(), factors.data(), 0.5F, s.data(), n);
      CHECK(error.below == below && error.largest == largest);
      const auto rise = [&](const float* weights) {
        return table->coarse_rise(products.data(), factors.data(), 0.5F, 0.25F, low.data(), high.data(),
                                  weights, n);
      };
      CHECK(std::fabs(rise(nullptr) - plain) <= 0x1p-17 * plain + 1e-6);
      CHECK(std::fabs(rise(w.data()) - weighted) <= 0x1p-17 * weighted + 1e-6);
    }
  }
}

double gain_of(const std::vector<float>& s, const std::vector<float>& memo, const std::vector<double>& w) {
  double sum = 0.0;
  for (std::size_t c = 0; c < s.size(); ++c)
    sum += (w.empty() ? 1.0 : w[c]) * std::max(0.0, static_cast<double>(s[c]) - static_cast<double>(memo[c]));
  return sum;
}

// Commits rows and lowers bounds of some, all of which hold; returns the largest error of those that were
// lowered. `decided`: no row ever reaches the threshold, so that all are.
double check_bounds(const std::vector<float>& x, Index n, Index d, Metric metric, float covered,
                    const std::vector<double>& weights, bool decided) {
  constexpr Index q = 50;
  ThreadPool pool(2);
  const std::vector<float> queries = gaussian(q * d, 2);
  Source source(view(x, n, d), QueryPanels(view(queries, q, d), metric, nullptr, pool));
  source.prepare(pool, Poll());
  std::vector<float> s(static_cast<std::size_t>(n * q));
  std::vector<Index> every(static_cast<std::size_t>(n));
  std::iota(every.begin(), every.end(), Index{0});
  TileScratch scratch;
  source.read(every.data(), n, s.data(), scratch);
  std::vector<float> memo(static_cast<std::size_t>(q), covered);
  const std::vector<double> modular(static_cast<std::size_t>(n), 0.5);
  CoarseBounds bounds({source, weights, modular, memo}, 0);
  bounds.store(0, n, s.data(), scratch);
  const auto row = [&](Index i) {
    return std::vector<float>(s.begin() + static_cast<std::ptrdiff_t>(i * q),
                              s.begin() + static_cast<std::ptrdiff_t>((i + 1) * q));
  };
  double worst = 0.0;
  for (int round = 0; round < 2; ++round) {  // a reset forgets everything
    std::fill(memo.begin(), memo.end(), covered);
    bounds.reset();
    std::vector<double> known(every.size());
    for (const Index i : every)
      known[static_cast<std::size_t>(i)] = 0.5 + gain_of(row(i), memo, weights) * 1.0001;
    Random random(5);
    for (int step = 0; step < 12; ++step) {
      const Index chosen = random.below(n);
      std::vector<MemoChange> changes;
      for (Index c = 0; c < q; ++c) {
        float& old = memo[static_cast<std::size_t>(c)];
        const float value = s[static_cast<std::size_t>(chosen * q + c)];
        if (value <= old) continue;
        changes.push_back({c, old, value});
        old = value;
      }
      bounds.committed(changes);
      std::vector<Index> some;
      for (Index i = random.below(3); i < n; i += 1 + random.below(2)) some.push_back(i);
      // Whatever reaches the threshold: nothing, all, or a part.
      const double threshold = decided || step % 3 == 0 ? 1e300 : step % 3 == 1 ? -1e300 : 0.5 + 0.1 * step;
      bounds.lower(every.data(), some, threshold, known.data(), pool, Poll());
      for (const Index i : every) {
        const double gain = 0.5 + gain_of(row(i), memo, weights);
        CHECK(known[static_cast<std::size_t>(i)] >= gain);
        if (decided && std::find(some.begin(), some.end(), i) != some.end())
          worst = std::max(worst, known[static_cast<std::size_t>(i)] - gain);
      }
    }
  }
  return worst;
}

ALBENCH_TEST(coarse_bounds_are_bounds_and_close) {
  if (kernels().coarse_dot == nullptr) return;
  std::vector<double> weights;
  weights.reserve(50);
  for (int c = 0; c < 50; ++c) weights.push_back(0.3 * (c % 4));
  for (const Index d : {Index{3}, Index{64}, Index{130}}) {
    const std::vector<float> x = gaussian(200 * d, 1);
    // An offset and a rise of the memo that waits, of as many columns as there are.
    CHECK(check_bounds(x, 200, d, Metric::cosine, 0.0F, {}, true) <= 50 * 0.1);
    CHECK(check_bounds(x, 200, d, Metric::cosine, 0.1F, weights, true) <= 50 * 0.1);
    check_bounds(x, 200, d, Metric::cosine, 0.0F, {}, false);
    check_bounds(x, 200, d, Metric::dot, 0.0F, weights, false);
    // Rows of zeros, rows that are all one number, rows with one large number, rows of any size.
    std::vector<float> odd = x;
    for (Index k = 0; k < d; ++k) {
      odd[static_cast<std::size_t>(k)] = 0.0F;
      odd[static_cast<std::size_t>(d + k)] = 3.0F;
      odd[static_cast<std::size_t>(2 * d + k)] *= 1e-30F;
      odd[static_cast<std::size_t>(3 * d + k)] *= 1e25F;
    }
    odd[static_cast<std::size_t>(4 * d)] = 1e4F;
    check_bounds(odd, 200, d, Metric::cosine, 0.0F, {}, true);
    check_bounds(odd, 200, d, Metric::dot, 0.2F, weights, false);
  }
}

}  // namespace
}  // namespace albench::tests
