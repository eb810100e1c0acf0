// Every instruction set against the portable kernels, at every length around the vector widths.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "albench/features.hpp"
#include "albench/kernels.hpp"
#include "check.hpp"
#include "data.hpp"

namespace albench::tests {
namespace {

std::vector<const KernelTable*> vectorised() {
  std::vector<const KernelTable*> tables;
  for (const KernelTable* table : {neon_kernels(), avx2_kernels(), avx512_kernels()})
    if (table != nullptr) tables.push_back(table);
  return tables;
}

// Buffers of exactly n elements, so that a sanitizer sees a read or write past the end.
ALBENCH_TEST(sums_agree_bit_for_bit) {
  const KernelTable& plain = portable_kernels();
  for (const KernelTable* table : vectorised()) {
    for (Index n = 1; n <= 131; ++n) {
      const auto count = static_cast<std::size_t>(n);
      const auto seed = static_cast<std::uint64_t>(n);
      const std::vector<float> s = gaussian(n, seed);
      std::vector<float> low = gaussian(n, seed + 1000);
      std::vector<float> high(count);
      std::vector<double> wide(count);
      std::vector<double> w(count);
      for (std::size_t c = 0; c < count; ++c) {
        low[c] = std::max(low[c], 0.0F);
        high[c] = low[c] + static_cast<float>(c % 3) * 0.25F;
        wide[c] = static_cast<double>(low[c]);
        w[c] = 0.1 * static_cast<double>(c % 7);
      }
      for (const double* weights :
           {static_cast<const double*>(nullptr), static_cast<const double*>(w.data())}) {
        CHECK(table->facility_gain(s.data(), low.data(), wide.data(), weights, n) ==
              plain.facility_gain(s.data(), low.data(), wide.data(), weights, n));
        CHECK(table->clamped_rise(s.data(), low.data(), high.data(), weights, n) ==
              plain.clamped_rise(s.data(), low.data(), high.data(), weights, n));
        const RowStart a = table->facility_start(s.data(), weights, n);
        const RowStart b = plain.facility_start(s.data(), weights, n);
        CHECK(a.gain == b.gain && a.max == b.max && a.finite && b.finite);
      }
      std::vector<float> scaled = s;
      table->scale(scaled.data(), 0.3F, n);
      for (std::size_t c = 0; c < count; ++c) CHECK(scaled[c] == s[c] * 0.3F);
      CHECK(table->sum_of_squares(s.data(), n) == plain.sum_of_squares(s.data(), n));
      CHECK(table->squared_distance(s.data(), low.data(), n) ==
            plain.squared_distance(s.data(), low.data(), n));
    }
  }
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& numbers) {
  std::vector<std::uint32_t> bits(numbers.size());
  std::memcpy(bits.data(), numbers.data(), bits.size() * sizeof(float));
  return bits;
}

// Every float16 there is, NaNs with their payloads too; at an odd address, and every number of them at the
// end.
ALBENCH_TEST(halves_have_the_bits_of_half_to_float) {
  constexpr Index most = 65536;
  std::vector<std::byte> stored(2 * most + 1);
  std::vector<float> plain(most);
  for (Index k = 0; k < most; ++k) {
    const auto bits = static_cast<std::uint16_t>(k);
    std::memcpy(stored.data() + 1 + 2 * k, &bits, sizeof bits);
    plain[static_cast<std::size_t>(k)] = half_to_float(bits);
  }
  std::vector<const KernelTable*> tables = vectorised();
  tables.push_back(&portable_kernels());
  for (const KernelTable* table : tables) {
    std::vector<float> wide(most);
    table->widen(stored.data() + 1, most, wide.data());
    CHECK(bits_of(wide) == bits_of(plain));
    for (Index n = 0; n <= 67; ++n) {
      const std::vector<std::byte> some(stored.begin() + 1, stored.begin() + 1 + 2 * n);
      std::vector<float> out(static_cast<std::size_t>(n));
      table->widen(some.data(), n, out.data());
      CHECK(std::equal(out.begin(), out.end(), plain.begin()));
    }
  }
  CHECK(half_to_float(0x3C01) == 1.0F + 1.0F / 1024.0F && half_to_float(0x8001) == -std::ldexp(1.0F, -24));
  CHECK(std::isinf(half_to_float(0xFC00)) && std::isnan(half_to_float(0x7C01)));
}

ALBENCH_TEST(what_is_not_finite_is_found_wherever_it_is) {
  std::vector<const KernelTable*> tables = vectorised();
  tables.push_back(&portable_kernels());
  for (const KernelTable* table : tables) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      for (std::size_t at = 0; at < 37; ++at) {
        std::vector<float> s(37, 0.5F);
        s[at] = bad;
        CHECK(!table->facility_start(s.data(), nullptr, 37).finite);
        CHECK(!std::isfinite(table->sum_of_squares(s.data(), 37)));
      }
    }
  }
}

ALBENCH_TEST(products_agree) {
  constexpr Index most = 2 * kMicroRows + 1;
  const std::vector<float> x = gaussian(most * kRowStride, 1);
  const std::vector<float> panel = gaussian(kPanel * kChunk, 2);
  for (const KernelTable* table : vectorised()) {
    for (const Index rows : {Index{1}, Index{2}, Index{3}, Index{5}, kMicroRows - 1, kMicroRows, most}) {
      for (const Index depth : {Index{1}, Index{63}, kChunk}) {
        for (const Index cols : {1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48}) {
          for (const bool accumulate : {false, true}) {
            std::vector<float> a(static_cast<std::size_t>(rows * cols), 2.0F);
            std::vector<float> b = a;
            const KernelTable& plain = portable_kernels();
            for (const bool square : {false, true}) {
              (square ? table->square_distance : table->dot)(x.data(), rows, panel.data(), depth, a.data(),
                                                             cols, cols, accumulate);
              (square ? plain.square_distance : plain.dot)(x.data(), rows, panel.data(), depth, b.data(),
                                                           cols, cols, accumulate);
              // The portable path does not fuse, so it may differ by rounding.
              for (std::size_t k = 0; k < a.size(); ++k)
                CHECK(std::fabs(a[k] - b[k]) <= 1e-4F * (1.0F + std::fabs(b[k])));
            }
          }
        }
      }
    }
  }
}

ALBENCH_TEST(both_vector_widths_fuse_alike) {
  if (avx512_kernels() == nullptr) return;
  const std::vector<float> x = gaussian(kMicroRows * kRowStride, 3);
  const std::vector<float> panel = gaussian(kPanel * kChunk, 4);
  // A value must not depend on the tile it is computed in: all tiles against the full one.
  std::vector<float> full(static_cast<std::size_t>(kMicroRows * kPanel));
  avx512_kernels()->dot(x.data(), kMicroRows, panel.data(), kChunk, full.data(), kPanel, kPanel, false);
  for (const KernelTable* table : vectorised())
    for (Index rows = 1; rows <= kMicroRows; ++rows)
      for (Index cols = 1; cols <= kPanel; ++cols) {
        std::vector<float> c(static_cast<std::size_t>(rows * cols));
        table->dot(x.data(), rows, panel.data(), kChunk, c.data(), cols, cols, false);
        for (Index r = 0; r < rows; ++r)
          for (Index j = 0; j < cols; ++j)
            CHECK(c[static_cast<std::size_t>(r * cols + j)] ==
                  full[static_cast<std::size_t>(r * kPanel + j)]);
      }
}

ALBENCH_TEST(quantised_losses_are_exact) {
  std::vector<const KernelTable*> tables = vectorised();
  tables.push_back(&portable_kernels());
  for (const KernelTable* table : tables) {
    for (const Index count : {1, 2, 255, 256, 257, 600}) {
      for (const bool plain : {true, false}) {
        Random random(8);
        std::vector<std::uint8_t> block(static_cast<std::size_t>(count * kLanesOfBlock));
        for (std::uint8_t& quantum : block)
          quantum = static_cast<std::uint8_t>(random.below(3) == 0 ? 255 : random.below(256));
        std::vector<QuantumChange> changes;
        for (Index c = count - 1; c >= 0; --c) {
          const bool whole = c % 3 != 0;  // the largest sums too
          changes.push_back({static_cast<std::int32_t>(c),
                             static_cast<std::uint8_t>(whole ? 0 : random.below(128)),
                             static_cast<std::uint8_t>(whole ? 255 : 128 + random.below(128)),
                             static_cast<std::uint16_t>(plain ? 1 : random.below(1025))});
        }
        std::vector<std::int32_t> gains(static_cast<std::size_t>(kLanesOfBlock), 7);
        table->quantised_loss(block.data(), changes.data(), count, plain, gains.data());
        for (Index r = 0; r < kLanesOfBlock; ++r) {
          std::int32_t expected = 7;
          for (const QuantumChange& change : changes) {
            const int s = block[static_cast<std::size_t>(change.column * kLanesOfBlock + r)];
            const int clamped = std::min<int>(std::max<int>(s, change.low), change.high);
            expected -= (clamped - change.low) * change.weight;
          }
          CHECK(gains[static_cast<std::size_t>(r)] == expected);
        }
      }
    }
  }
}

ALBENCH_TEST(quanta_are_the_same_on_every_set) {
  for (const Index rows : {Index{1}, Index{17}, kLanesOfBlock}) {
    for (const Index cols : {Index{1}, Index{15}, Index{16}, Index{50}, Index{511}, Index{1030}}) {
      std::vector<float> s = tests::gaussian(rows * cols, 9);
      const float odd[] = {INFINITY, -INFINITY, 0.0F, -0.0F, 1e-45F, 3e38F, 1.0F, 2.55F, NAN};
      for (std::size_t i = 0; i < s.size(); i += 4) s[i] = odd[i / 4 % 9];
      const auto size = static_cast<std::size_t>(cols * kLanesOfBlock);
      std::vector<std::uint8_t> expected(size);
      std::vector<std::int32_t> expected_sums(static_cast<std::size_t>(kLanesOfBlock));
      portable_kernels().quantise(s.data(), rows, cols, 100.0F, expected.data(), expected_sums.data());
      for (const KernelTable* table : vectorised()) {
        std::vector<std::uint8_t> block(size, 77);
        std::vector<std::int32_t> sums(static_cast<std::size_t>(kLanesOfBlock), 77);
        table->quantise(s.data(), rows, cols, 100.0F, block.data(), sums.data());
        CHECK(block == expected);
        CHECK(sums == expected_sums);
      }
    }
  }
}

ALBENCH_TEST(quanta_are_upper_bounds) {
  std::vector<const KernelTable*> tables = vectorised();
  tables.push_back(&portable_kernels());
  constexpr float factor = 100.0F;
  for (const KernelTable* table : tables) {
    for (const Index rows : {Index{1}, Index{15}, Index{17}, kLanesOfBlock}) {
      for (const Index cols : {1, 15, 16, 17, 63, 64, 65, 130}) {
        std::vector<float> s = gaussian(rows * cols, static_cast<std::uint64_t>(rows * cols));
        s[0] = 1e-42F;  // too small to count, but not nothing
        s.back() = 1e30F;
        std::vector<std::uint8_t> block(static_cast<std::size_t>(cols * kLanesOfBlock), 99);
        std::vector<std::int32_t> sums(static_cast<std::size_t>(kLanesOfBlock), 99);
        table->quantise(s.data(), rows, cols, factor, block.data(), sums.data());
        for (Index c = 0; c < cols; ++c)
          for (Index r = 0; r < kLanesOfBlock; ++r) {
            const int quantum = block[static_cast<std::size_t>(c * kLanesOfBlock + r)];
            const float value = r < rows ? s[static_cast<std::size_t>(r * cols + c)] : 0.0F;
            const float scaled = std::max(value, 0.0F) * factor;
            const int expected = scaled >= 255.0F ? 255 : static_cast<int>(std::ceil(scaled));
            CHECK(quantum == std::max(expected, value > 0.0F ? 1 : 0));
            sums[static_cast<std::size_t>(r)] -= quantum;
          }
        for (const std::int32_t left : sums) CHECK(left == 0);
      }
    }
  }
}

ALBENCH_TEST(columns_above_a_limit_are_found) {
  std::vector<const KernelTable*> tables = vectorised();
  tables.push_back(&portable_kernels());
  for (const KernelTable* table : tables) {
    for (Index n = 1; n <= 100; ++n) {
      const std::vector<float> s = gaussian(n, static_cast<std::uint64_t>(n));
      std::vector<std::int32_t> expected;
      for (Index c = 0; c < n; ++c)
        if (s[static_cast<std::size_t>(c)] > 0.5F) expected.push_back(static_cast<std::int32_t>(c));
      for (const Index most : {Index{1}, Index{5}, n}) {
        std::vector<std::int32_t> found(static_cast<std::size_t>(most));
        const auto kept = static_cast<std::size_t>(table->above(s.data(), 0.5F, n, found.data(), most));
        CHECK(kept == std::min(expected.size(), static_cast<std::size_t>(most)));
        for (std::size_t k = 0; k < kept; ++k) CHECK(found[k] == expected[k]);
      }
    }
  }
}

}  // namespace
}  // namespace albench::tests
