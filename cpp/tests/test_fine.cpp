// Features in 16-bit numbers: their products, what they bound, and that choices do not depend on them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "albench/facility_location.hpp"
#include "albench/fine_features.hpp"
#include "albench/optimizers.hpp"
#include "check.hpp"
#include "data.hpp"

namespace albench::tests {
namespace {

// Numbers of the largest norm, of which a row and a column are alike: the sum is nearly 2^31.
ALBENCH_TEST(products_of_16_bit_numbers_are_exact) {
  for (const KernelTable* table : {avx2_kernels(), plain_avx512_kernels(), avx512_kernels()}) {
    if (table == nullptr) continue;
    for (const Index depth : {Index{2}, Index{48}, Index{130}}) {
      constexpr Index rows = 2 * kMicroRows + 3;
      const auto most = static_cast<std::int64_t>(kFineNorm / std::sqrt(static_cast<double>(depth)));
      std::vector<std::int16_t> x(static_cast<std::size_t>(rows * depth));
      std::vector<std::int16_t> panel(static_cast<std::size_t>(kPanel * depth));
      Random random(static_cast<std::uint64_t>(depth));
      const auto number = [&](bool flat) {
        return static_cast<std::int16_t>(flat ? std::min<std::int64_t>(most, 32767)
                                              : random.below(2 * std::min<std::int64_t>(most, 32767) + 1) -
                                                    std::min<std::int64_t>(most, 32767));
      };
      for (std::size_t at = 0; at < x.size(); ++at) x[at] = number(at < static_cast<std::size_t>(depth));
      for (std::size_t at = 0; at < panel.size(); ++at) panel[at] = number(at / kPair % kPanel == 0);
      std::vector<float> factors;
      factors.reserve(static_cast<std::size_t>(kPanel));
      for (Index c = 0; c < kPanel; ++c) factors.push_back(1e-9F * static_cast<float>(c + 1));
      std::vector<FineRow> of_rows;
      of_rows.reserve(static_cast<std::size_t>(rows));
      for (Index r = 0; r < rows; ++r) of_rows.push_back({1.0F + 0.1F * static_cast<float>(r), 0.01F});
      for (const Index cols : {1, 7, 15, 16, 17, 31, 47, 48}) {
        std::vector<float> c(static_cast<std::size_t>(rows * cols));
        table->fine_dot(x.data(), depth, rows, panel.data(), depth, factors.data(), of_rows.data(), c.data(),
                        cols, cols);
        for (Index r = 0; r < rows; ++r)
          for (Index j = 0; j < cols; ++j) {
            std::int64_t sum = 0;
            for (Index k = 0; k < depth; ++k)
              sum += x[static_cast<std::size_t>(r * depth + k)] *
                     std::int64_t{
                         panel[static_cast<std::size_t>(k / kPair * kPair * kPanel + j * kPair + k % kPair)]};
            CHECK(std::abs(sum) < std::int64_t{1} << 31U);
            const FineRow& row = of_rows[static_cast<std::size_t>(r)];
            const float factor = factors[static_cast<std::size_t>(j)] * row.factor;
            CHECK(c[static_cast<std::size_t>(r * cols + j)] == static_cast<float>(sum) * factor + row.offset);
          }
      }
    }
  }
}

// Rows of zeros, of one number, of one large number among others, and of any size.
std::vector<float> odd_rows(Index n, Index d) {
  std::vector<float> x = gaussian(n * d, 1);
  for (Index k = 0; k < d; ++k) {
    x[static_cast<std::size_t>(k)] = 0.0F;
    x[static_cast<std::size_t>(d + k)] = 3.0F;
    x[static_cast<std::size_t>(2 * d + k)] *= 1e-30F;
    x[static_cast<std::size_t>(3 * d + k)] *= 1e25F;
    x[static_cast<std::size_t>(4 * d + k)] = k == 0 ? 2.0F : 0.0F;
  }
  x[static_cast<std::size_t>(5 * d)] = 1e4F;
  return x;
}

ALBENCH_TEST(similarities_of_16_bit_numbers_are_bounds_and_close) {
  if (kernels().fine_dot == nullptr) return;
  constexpr Index n = 120;
  constexpr Index q = 50;
  ThreadPool pool(1);
  for (const Index d : {Index{1}, Index{48}, Index{131}, Index{2048}}) {
    std::vector<float> x = odd_rows(n, d);
    std::vector<float> queries = gaussian(q * d, 2);
    std::copy_n(x.begin() + static_cast<std::ptrdiff_t>(9 * d), d, queries.begin());  // one is a row
    for (Index k = 0; k < d; ++k) queries[static_cast<std::size_t>(d + k)] = 0.0F;
    for (const Metric metric : {Metric::cosine, Metric::dot}) {
      // Too small for a cosine.
      if (metric == Metric::dot)
        for (Index k = 0; k < d; ++k) x[static_cast<std::size_t>(6 * d + k)] *= 1e-41F;
      Source source(view(x, n, d), QueryPanels(view(queries, q, d), metric, nullptr, pool));
      if (metric == Metric::dot) source.cap(std::vector<float>(static_cast<std::size_t>(q), 2.0F), pool);
      source.prepare(pool, Poll());
      const FineFeatures fine(source);
      TileScratch scratch;
      std::vector<Index> every(static_cast<std::size_t>(n));
      std::iota(every.begin(), every.end(), Index{0});
      std::vector<float> s(static_cast<std::size_t>(n * q));
      std::vector<float> above(s.size());
      source.read(every.data(), n, s.data(), scratch);
      CHECK(fine.read(0, n, above.data(), scratch));
      for (std::size_t at = 0; at < s.size(); ++at) {
        CHECK(above[at] >= s[at]);
        if (metric == Metric::cosine) CHECK(above[at] <= s[at] + 2e-5F * std::sqrt(static_cast<float>(d)));
      }
    }
  }
}

ALBENCH_TEST(numbers_too_large_for_bounds_are_told) {
  if (kernels().fine_dot == nullptr) return;
  constexpr Index d = 48;
  ThreadPool pool(1);
  const std::vector<float> queries = gaussian(5 * d, 2);
  std::vector<float> x = gaussian(3 * d, 1);
  for (Index k = 0; k < d; ++k) x[static_cast<std::size_t>(d + k)] *= 1e36F;
  Source source(view(x, 3, d), QueryPanels(view(queries, 5, d), Metric::dot, nullptr, pool));
  source.prepare(pool, Poll());
  const FineFeatures fine(source);
  TileScratch scratch;
  float out[5];
  CHECK(fine.read(0, 1, out, scratch));
  CHECK(!fine.read(1, 1, out, scratch));
  CHECK(fine.read(2, 1, out, scratch));
}

ALBENCH_TEST(choices_and_gains_do_not_depend_on_the_first_look) {
  constexpr Index n = 4200;
  constexpr Index q = 130;
  constexpr Index d = 49;
  const std::vector<float> x = odd_rows(n, d);
  const std::vector<float> queries = gaussian(q * d, 12);
  std::vector<double> weights(static_cast<std::size_t>(q));
  for (std::size_t c = 0; c < weights.size(); ++c) weights[c] = 0.5 + 0.01 * static_cast<double>(c);
  ThreadPool pool(2);
  const QueryPanels panels(view(queries, q, d), Metric::cosine, nullptr, pool);
  std::vector<float> s(static_cast<std::size_t>(n * q));
  similarity(view(x, n, d), panels, s.data(), pool, Poll());
  GreedyOptions options;
  options.budget = 40;
  options.candidates.resize(static_cast<std::size_t>(n));
  std::iota(options.candidates.begin(), options.candidates.end(), Index{0});
  const std::vector<float> covered(static_cast<std::size_t>(q), 0.05F);
  for (const double eta : {0.0, 0.5})
    for (const std::vector<float>& start : {std::vector<float>(), covered}) {
      FacilityLocation given(Source(s.data(), n, q), weights, eta, start, 0, pool, Poll());
      const Selection expected = maximize(given, options, pool);
      std::vector<double> gains(static_cast<std::size_t>(n));
      given.reset(pool, Poll());
      given.gains(options.candidates.data(), n, gains.data(), pool, Poll());
      for (const Index bytes : {Index{0}, Index{1} << 18U, Index{1} << 22U}) {
        Source source(view(x, n, d), panels);
        source.prepare(pool, Poll());
        FacilityLocation made(std::move(source), weights, eta, start, bytes, pool, Poll());
        std::vector<double> bounds(static_cast<std::size_t>(n));
        made.start_bounds(bounds.data());
        double slack = 0.0;
        for (std::size_t i = 0; i < bounds.size(); ++i) {
          CHECK(bounds[i] >= gains[i]);
          slack = std::max(slack, bounds[i] - gains[i]);
        }
        CHECK(slack < 0.02 * *std::max_element(gains.begin(), gains.end()));
        if (kernels().fine_dot != nullptr) CHECK(slack > 0.0);
        std::vector<double> own(static_cast<std::size_t>(n));
        made.gains(options.candidates.data(), n, own.data(), pool, Poll());
        CHECK(own == gains);
        const Selection chosen = maximize(made, options, pool);
        CHECK(chosen.indices == expected.indices);
        CHECK(chosen.gains == expected.gains);
        CHECK(made.evaluate(chosen.indices.data(), options.budget) ==
              given.evaluate(chosen.indices.data(), options.budget));
      }
    }
}

}  // namespace
}  // namespace albench::tests
