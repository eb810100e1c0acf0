// libFuzzer target: bytes become an instance and options; the core must answer, or refuse with InputError,
// and what it answers must satisfy the guarantees (lazy equals naive in every mode).
//
// Where libFuzzer is missing (GCC), ALBENCH_FUZZ_MAIN builds a driver that mutates from a fixed seed instead.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "albench/distances.hpp"
#include "albench/facility_location.hpp"
#include "albench/log_determinant.hpp"
#include "albench/optimizers.hpp"
#include "albench/quantised_bounds.hpp"
#include "albench/random.hpp"
#include "albench/row_sums.hpp"

namespace {

using albench::Index;

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint8_t byte() { return at_ < size_ ? data_[at_++] : std::uint8_t{0}; }
  Index below(Index n) { return byte() % n; }
  // Mostly tame numbers, sometimes any bit pattern at all.
  float number() {
    const std::uint8_t kind = byte();
    if (kind < 250) return static_cast<float>(static_cast<int>(kind) - 60) / 64.0F;
    std::uint8_t raw[4] = {byte(), byte(), byte(), byte()};
    float value;
    std::memcpy(&value, raw, sizeof(value));
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

void require(bool condition) {
  if (!condition) std::abort();
}

albench::Source prepared(const albench::Features& x, const albench::QueryPanels& panels,
                         albench::ThreadPool& pool) {
  albench::Source source(x, panels);
  source.prepare(pool, albench::Poll());
  return source;
}

void run(Bytes bytes) {
  using namespace albench;
  const Index n = 1 + bytes.below(40);
  const Index q = 1 + bytes.below(70);
  const Index d = 1 + bytes.below(9);
  const auto number = static_cast<Number>(bytes.below(4));
  const auto metric = static_cast<Metric>(bytes.below(4));
  const Index gap = bytes.below(3);  // features between rows that do not belong
  const int n_threads = 1 + static_cast<int>(bytes.below(3));
  ThreadPool pool(n_threads);
  const Poll poll;

  const std::size_t width = bytes_of(number);
  std::vector<std::byte> storage(static_cast<std::size_t>((n + q) * (d + gap)) * width);
  for (std::size_t at = 0; at + width <= storage.size(); at += width) {
    const float value = bytes.number();
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    if (number == Number::float64) {
      const auto wide = static_cast<double>(value);
      std::memcpy(&storage[at], &wide, sizeof(wide));
    } else {
      const auto upper = static_cast<std::uint16_t>(bits >> 16U);
      std::memcpy(&storage[at], number == Number::float32 ? static_cast<const void*>(&bits) : &upper, width);
    }
  }
  Features x;
  x.data = storage.data();
  x.number = number;
  x.rows = n;
  x.cols = d;
  x.col_stride = static_cast<Index>(width);
  x.row_stride = (d + gap) * x.col_stride;
  Features queries = x;
  queries.data += n * x.row_stride;
  queries.rows = q;

  std::vector<double> weights;
  if (bytes.below(2) == 1)
    for (Index c = 0; c < q; ++c) weights.push_back(0.25 * static_cast<double>(bytes.below(9)));
  const double eta = 0.5 * static_cast<double>(bytes.below(4));

  GreedyOptions options;
  for (Index i = 0; i < n; ++i)
    if (bytes.below(4) != 0 || i == n - 1) options.candidates.push_back(i);
  options.budget = 1 + bytes.below(static_cast<Index>(options.candidates.size()));
  options.epsilon = 0.3;
  options.seed = bytes.byte();

  const QueryPanels panels(queries, metric, nullptr, pool);
  std::vector<float> s(static_cast<std::size_t>(n * q));
  similarity(x, panels, s.data(), pool, poll);
  std::vector<float> covered;
  if (bytes.below(2) == 1)
    for (Index c = 0; c < q; ++c) covered.push_back(0.25F * static_cast<float>(bytes.below(9)));
  FacilityLocation given(Source(s.data(), n, q), weights, eta, covered, 1 << 20, pool, poll);
  FacilityLocation made(prepared(x, panels, pool), weights, eta, covered,
                        bytes.below(40) * QuantisedBounds::bytes_per_row(q), pool, poll);
  const auto choose = [&](SetFunction& f, Optimizer optimizer) {
    options.optimizer = optimizer;
    return maximize(f, options, pool);
  };
  const Selection naive = choose(given, Optimizer::naive);
  // Gains of many at once, of functions that stand after a choice, are those of each alone.
  const auto require_gains = [&](SetFunction& f) {
    std::vector<double> many(options.candidates.size());
    f.gains(options.candidates.data(), static_cast<Index>(many.size()), many.data(), pool, poll);
    for (std::size_t j = 0; j < many.size(); ++j) {
      double one = 0.0;
      f.gains(&options.candidates[j], 1, &one, pool, poll);
      require(one == many[j] || (std::isnan(one) && std::isnan(many[j])));
    }
  };
  for (FacilityLocation* f : {&given, &made}) {
    const Selection lazy = choose(*f, Optimizer::lazy);
    require(lazy.indices == naive.indices && lazy.gains == naive.gains);
    require_gains(*f);
  }
  const Selection sampled = choose(made, Optimizer::stochastic);
  require(choose(given, Optimizer::lazier).indices == sampled.indices);
  ConcaveOverModular concave(prepared(x, panels, pool), weights, eta, static_cast<Concave>(bytes.below(3)),
                             pool, poll);
  require(choose(concave, Optimizer::lazy).indices == choose(concave, Optimizer::naive).indices);
  require_gains(concave);
  require(static_cast<Index>(kcenter_greedy(x, options.budget, &queries, {}, pool, poll).size()) ==
          options.budget);
  require(static_cast<Index>(kmeans_plusplus(x, options.budget, 1, pool, poll).size()) == options.budget);
  std::vector<float> among(static_cast<std::size_t>(q * q));
  similarity(queries, panels, among.data(), pool, poll);
  LogDeterminant information(GroundKernel(x, metric, {}), prepared(x, panels, pool), among.data(), 1.0, 0.5,
                             pool, poll);
  (void)choose(information, Optimizer::naive);
  require_gains(information);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    run(Bytes(data, size));
  } catch (const albench::InputError&) {
    // Refused, and said why.
  }
  return 0;
}

#ifdef ALBENCH_FUZZ_MAIN
int main(int argc, char** argv) {
  const long runs = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 2000;
  albench::Random random(1);
  for (long k = 0; k < runs; ++k) {
    std::vector<std::uint8_t> input(static_cast<std::size_t>(random.below(3000)));
    const auto wild = static_cast<std::uint64_t>(random.below(64));  // share of bytes that may be anything
    for (std::uint8_t& byte : input)
      byte = static_cast<std::uint8_t>(
          static_cast<std::uint64_t>(random.below(64)) < wild ? random.below(256) : random.below(250));
    (void)LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  return 0;
}
#endif
