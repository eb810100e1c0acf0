// The kernels for one instruction set, included by kernels.cpp with ALBENCH_SET, ALBENCH_FLOATS,
// ALBENCH_MICRO_ROWS, ALBENCH_FMA, ALBENCH_WIDE, ALBENCH_TARGET and, where it converts float16,
// ALBENCH_HALVES.
namespace albench {
namespace ALBENCH_SET {
namespace {

constexpr Index kFloats = ALBENCH_FLOATS;       // of a vector
constexpr Index kDoubles = ALBENCH_FLOATS / 2;  // of one as wide, and the floats they are made from
constexpr Index kParts = kLanes / kDoubles;
constexpr Index kVectors = kLanes / kFloats;

typedef float Floats __attribute__((vector_size(4 * kFloats)));
typedef float Fours __attribute__((vector_size(16)));
typedef double Twos __attribute__((vector_size(16)));
typedef float Half __attribute__((vector_size(4 * kDoubles)));
typedef std::uint16_t Halves
    __attribute__((vector_size(2 * kFloats)));  // as many float16 as Floats has numbers
typedef double Doubles __attribute__((vector_size(8 * kDoubles)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kFloats)));
typedef std::int32_t HalfInts __attribute__((vector_size(4 * kDoubles)));

template <class Vector, class Number>
ALBENCH_TARGET ALBENCH_INLINE Vector load(const Number* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class Vector, class Number>
ALBENCH_TARGET ALBENCH_INLINE void store(Number* to, Vector v) {
  std::memcpy(to, &v, sizeof v);
}
template <class Vector>
ALBENCH_TARGET ALBENCH_INLINE Vector larger(Vector a, Vector b) {
  return a > b ? a : b;
}
template <class Vector>
ALBENCH_TARGET ALBENCH_INLINE Vector smaller(Vector a, Vector b) {
  return a < b ? a : b;
}
ALBENCH_TARGET ALBENCH_INLINE Doubles wide(Half v) {
  return ALBENCH_WIDE(v);
}

// Rows x kFloats * Vectors outputs stay in registers while the chain over the features runs.
template <unsigned Rows, unsigned Vectors, bool Square>
ALBENCH_TARGET ALBENCH_INLINE void tile(const float* x, const float* panel, Index depth, float* c, Index ldc,
                                        Index cols, bool accumulate) {
  Floats sum[Rows][Vectors];
#pragma GCC unroll 8
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = Floats{};
  for (Index k = 0; k < depth; ++k) {
    Floats q[Vectors];
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) q[v] = load<Floats>(panel + k * kPanel + kFloats * v);
#pragma GCC unroll 8
    for (unsigned r = 0; r < Rows; ++r) {
      const Floats xv = x[r * kRowStride + k] - Floats{};
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) {
        if (Square) {
          const Floats difference = xv - q[v];
          sum[r][v] = ALBENCH_FMA(difference, difference, sum[r][v]);
        } else {
          sum[r][v] = ALBENCH_FMA(xv, q[v], sum[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) {
      float* out = c + r * ldc + kFloats * v;
      const Index n = cols - kFloats * v;
      if (n >= kFloats) {
        store(out, accumulate ? load<Floats>(out) + sum[r][v] : sum[r][v]);
        continue;
      }
      float tail[kFloats];
      store(tail, sum[r][v]);
      for (Index j = 0; j < n; ++j) out[j] = accumulate ? out[j] + tail[j] : tail[j];
    }
}

template <unsigned Rows, bool Square>
ALBENCH_TARGET Index some_rows(const float* x, Index rows, const float* panel, Index depth, float* c,
                               Index ldc, Index cols, bool accumulate) {
  Index done = 0;
  for (; done + Rows <= rows; done += Rows) {
    const float* from = x + done * kRowStride;
    float* to = c + done * ldc;
    for (Index at = 0; at < cols; at += 3 * kFloats) {
      const Index left = cols - at;
      if (left > 2 * kFloats) {
        tile<Rows, 3, Square>(from, panel + at, depth, to + at, ldc, left, accumulate);
      } else if (left > kFloats) {
        tile<Rows, 2, Square>(from, panel + at, depth, to + at, ldc, left, accumulate);
      } else {
        tile<Rows, 1, Square>(from, panel + at, depth, to + at, ldc, left, accumulate);
      }
    }
  }
  if constexpr (Rows > 1)
    done += some_rows<Rows / 2, Square>(x + done * kRowStride, rows - done, panel, depth, c + done * ldc, ldc,
                                        cols, accumulate);
  return done;
}

template <bool Square>
ALBENCH_TARGET void product(const float* x, Index rows, const float* panel, Index depth, float* c, Index ldc,
                            Index cols, bool accumulate) {
  some_rows<ALBENCH_MICRO_ROWS, Square>(x, rows, panel, depth, c, ldc, cols, accumulate);
}

// kLanes numbers, of which the upper half is added to the lower until those of a Small are left: the same
// sums with vectors of any width. Changes `part`.
template <class Small, class Vector, std::size_t kCount>
ALBENCH_TARGET ALBENCH_INLINE Small folded(Vector (&part)[kCount]) {
#pragma GCC unroll 4
  for (std::size_t n = kCount / 2; n > 0; n /= 2)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < n; ++v) part[v] += part[v + n];
  constexpr std::size_t kSmalls = sizeof(Vector) / sizeof(Small);
  Small small[kSmalls];
  std::memcpy(small, part, sizeof small);
#pragma GCC unroll 2
  for (std::size_t n = kSmalls / 2; n > 0; n /= 2)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < n; ++v) small[v] += small[v + n];
  return small[0];
}

// A sum over columns in kLanes lanes of double.
struct Lanes {
  Doubles part[kParts];
};
ALBENCH_TARGET ALBENCH_INLINE double add_lanes(Lanes& lanes) {
  const Twos two = folded<Twos>(lanes.part);
  return two[0] + two[1];
}

// n numbers at `from`, the rest of a run of kLanes, filled up with zeros.
template <class Number>
ALBENCH_TARGET ALBENCH_INLINE const Number* filled(const Number* from, Index n, Number* tail) {
  for (Index j = 0; j < kLanes; ++j) tail[j] = j < n ? from[j] : Number{0};
  return tail;
}

template <bool Weighted>
ALBENCH_TARGET ALBENCH_INLINE void add_terms(Doubles& part, Doubles term, const double* w) {
  part += Weighted ? term * load<Doubles>(w) : term;
}

template <bool Weighted>
ALBENCH_TARGET ALBENCH_INLINE void gain_terms(Lanes& lanes, const float* s, const float* memo,
                                              const double* memo_wide, const double* w) {
#pragma GCC unroll 8
  for (int p = 0; p < kParts; ++p) {
    const Index at = kDoubles * p;
    const Half v = larger(load<Half>(memo + at), load<Half>(s + at));  // the second where one is no number
    add_terms<Weighted>(lanes.part[p], wide(v) - load<Doubles>(memo_wide + at), w + (Weighted ? at : 0));
  }
}

template <bool Weighted>
ALBENCH_TARGET double gain(const float* s, const float* memo, const double* memo_wide, const double* w,
                           Index n) {
  Lanes lanes = {};
  Index c = 0;
  for (; c + kLanes <= n; c += kLanes)
    gain_terms<Weighted>(lanes, s + c, memo + c, memo_wide + c, Weighted ? w + c : nullptr);
  if (c < n) {
    float tail[2][kLanes];
    double wide_tail[2][kLanes];
    gain_terms<Weighted>(lanes, filled(s + c, n - c, tail[0]), filled(memo + c, n - c, tail[1]),
                         filled(memo_wide + c, n - c, wide_tail[0]),
                         Weighted ? filled(w + c, n - c, wide_tail[1]) : nullptr);
  }
  return add_lanes(lanes);
}

ALBENCH_TARGET double facility_gain(const float* s, const float* memo, const double* memo_wide,
                                    const double* w, Index n) {
  return w != nullptr ? gain<true>(s, memo, memo_wide, w, n) : gain<false>(s, memo, memo_wide, w, n);
}

template <bool Weighted>
ALBENCH_TARGET RowStart start(const float* s, const double* w, Index n) {
  Lanes lanes = {};
  Floats largest[kVectors] = {};
  Floats nothing[kVectors] = {};  // x - x is 0 for finite numbers and NaN otherwise
  for (Index c = 0; c < n; c += kLanes) {
    float tail[kLanes];
    double w_tail[kLanes];
    const float* from = s + c;
    const double* weights = Weighted ? w + c : nullptr;
    if (n - c < kLanes) {
      from = filled(from, n - c, tail);
      if (Weighted) weights = filled(weights, n - c, w_tail);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Floats raw = load<Floats>(from + kFloats * v);
      nothing[v] += raw - raw;
      largest[v] = larger(raw, largest[v]);
    }
#pragma GCC unroll 8
    for (int p = 0; p < kParts; ++p) {
      const Half v = larger(load<Half>(from + kDoubles * p), Half{});
      add_terms<Weighted>(lanes.part[p], wide(v), weights + (Weighted ? kDoubles * p : 0));
    }
  }
  float most = 0.0F;
  bool finite = true;
  for (int v = 1; v < kVectors; ++v) {
    largest[0] = larger(largest[v], largest[0]);
    nothing[0] += nothing[v];
  }
  for (int l = 0; l < kFloats; ++l) {
    most = std::max(most, static_cast<float>(largest[0][l]));
    finite = finite && nothing[0][l] == 0.0F;
  }
  return {add_lanes(lanes), most, finite};
}

ALBENCH_TARGET RowStart facility_start(const float* s, const double* w, Index n) {
  return w != nullptr ? start<true>(s, w, n) : start<false>(s, w, n);
}

template <bool Weighted>
ALBENCH_TARGET double clamped(const float* s, const float* low, const float* high, const double* w, Index n) {
  Lanes lanes = {};
  for (Index c = 0; c < n; c += kLanes) {
    float tail[3][kLanes];
    double w_tail[kLanes];
    const float* from[3] = {s + c, low + c, high + c};
    const double* weights = Weighted ? w + c : nullptr;
    if (n - c < kLanes) {
      for (int t = 0; t < 3; ++t) from[t] = filled(from[t], n - c, tail[t]);
      if (Weighted) weights = filled(weights, n - c, w_tail);
    }
#pragma GCC unroll 8
    for (int p = 0; p < kParts; ++p) {
      const Index at = kDoubles * p;
      const Half base = load<Half>(from[1] + at);
      const Half v = smaller(larger(load<Half>(from[0] + at), base), load<Half>(from[2] + at));
      add_terms<Weighted>(lanes.part[p], wide(v) - wide(base), weights + (Weighted ? at : 0));
    }
  }
  return add_lanes(lanes);
}

ALBENCH_TARGET double clamped_rise(const float* s, const float* low, const float* high, const double* w,
                                   Index n) {
  return w != nullptr ? clamped<true>(s, low, high, w, n) : clamped<false>(s, low, high, w, n);
}

#include "coarse_body.hpp"

// Columns of a block that pass through a buffer in the first-level cache, and numbers looked at together.
constexpr Index kRun = 64;

ALBENCH_TARGET void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block,
                             std::int32_t* sums) {
  std::fill_n(sums, kLanesOfBlock, 0);
  std::uint8_t quanta[kLanesOfBlock * kRun] = {};
  for (Index begin = 0; begin < cols; begin += kRun) {
    const Index count = std::min(kRun, cols - begin);
    for (Index r = 0; r < rows; ++r) {
      const float* from = s + r * cols + begin;
      std::uint8_t* to = quanta + r * kRun;
      for (Index c = 0; c < count; ++c) {
        const float scaled = std::min(std::max(0.0F, from[c]) * factor, 255.0F);
        const int whole = static_cast<int>(scaled);
        const int up = whole + (static_cast<float>(whole) < scaled ? 1 : 0);
        to[c] = static_cast<std::uint8_t>(std::max(up, from[c] > 0.0F ? 1 : 0));
      }
      for (Index c = 0; c < count; ++c) sums[r] += to[c];
    }
    for (Index c = 0; c < count; ++c)
      for (Index r = 0; r < kLanesOfBlock; ++r) block[(begin + c) * kLanesOfBlock + r] = quanta[r * kRun + c];
  }
}

ALBENCH_TARGET void quantised_loss(const std::uint8_t* block, const QuantumChange* changes, Index count, bool,
                                   std::int32_t* gains) {
  constexpr Index kAhead = 16;
  for (Index k = 0; k < count; ++k) {
    if (k + kAhead < count) __builtin_prefetch(block + changes[k + kAhead].column * kLanesOfBlock);
    const std::uint8_t* s = block + changes[k].column * kLanesOfBlock;
    const std::uint8_t low = changes[k].low;
    const std::uint8_t high = changes[k].high;
    const std::int32_t weight = changes[k].weight;
    for (Index r = 0; r < kLanesOfBlock; ++r) {
      const std::uint8_t clamped = std::min(std::max(s[r], low), high);
      gains[r] -= static_cast<std::int32_t>(clamped - low) * weight;
    }
  }
}

// Whether any of kRun numbers exceeds the limit.
ALBENCH_TARGET ALBENCH_INLINE bool any_above(const float* s, Floats limit) {
  auto over = load<Floats>(s) > limit;
#pragma GCC unroll 16
  for (Index at = kFloats; at < kRun; at += kFloats) over |= load<Floats>(s + at) > limit;
  std::uint64_t words[sizeof over / 8];
  std::memcpy(words, &over, sizeof over);
  std::uint64_t any = 0;
  for (const std::uint64_t word : words) any |= word;
  return any != 0;
}

ALBENCH_TARGET Index above(const float* s, float limit, Index n, std::int32_t* out, Index most) {
  const Floats bar = limit - Floats{};
  Index found = 0;
  for (Index begin = 0; begin < n; begin += kRun) {
    const Index end = std::min(n, begin + kRun);
    // The last run is looked at together with what comes before it.
    if (end >= kRun && !any_above(s + end - kRun, bar)) continue;
    for (Index c = begin; c < end; ++c) {
      if (!(s[c] > limit)) continue;
      if (found == most) return found;
      out[found++] = static_cast<std::int32_t>(c);
    }
  }
  return found;
}

ALBENCH_TARGET void scale(float* s, float factor, Index n) {
  for (Index c = 0; c < n; ++c) s[c] *= factor;
}

ALBENCH_TARGET void widen(const std::byte* from, Index n, float* out) {
  Index c = 0;
#ifdef ALBENCH_HALVES
  for (; c + kFloats <= n; c += kFloats) {
    const Floats v = ALBENCH_HALVES(load<Halves>(from + 2 * c));
    store(out + c, v);
  }
#endif
  for (; c < n; ++c) {
    std::uint16_t bits;
    std::memcpy(&bits, from + 2 * c, sizeof bits);
    out[c] = half_to_float(bits);
  }
}

template <bool Difference>
ALBENCH_TARGET ALBENCH_INLINE double squares(const float* x, const float* y, Index n) {
  Lanes lanes = {};
  for (Index k = 0; k < n; k += kLanes) {
    float tail[2][kLanes];
    const float* a = x + k;
    const float* b = Difference ? y + k : nullptr;
    if (n - k < kLanes) {
      a = filled(a, n - k, tail[0]);
      if (Difference) b = filled(b, n - k, tail[1]);
    }
#pragma GCC unroll 8
    for (int p = 0; p < kParts; ++p) {
      Doubles v = wide(load<Half>(a + kDoubles * p));
      if (Difference) v -= wide(load<Half>(b + kDoubles * p));
      lanes.part[p] += v * v;
    }
  }
  return add_lanes(lanes);
}

ALBENCH_TARGET double sum_of_squares(const float* x, Index n) {
  return squares<false>(x, nullptr, n);
}

ALBENCH_TARGET double squared_distance(const float* x, const float* y, Index n) {
  return squares<true>(x, y, n);
}

KernelTable table(const char* name) {
  return {name,     product<false>, product<true>, facility_gain,  facility_start,  clamped_rise,
          quantise, quantised_loss, nullptr,       coarse_error,   coarse_rise,     nullptr,
          above,    scale,          widen,         sum_of_squares, squared_distance};
}

}  // namespace
}  // namespace ALBENCH_SET
}  // namespace albench

#undef ALBENCH_SET
#undef ALBENCH_FLOATS
#undef ALBENCH_MICRO_ROWS
#undef ALBENCH_FMA
#undef ALBENCH_WIDE
#undef ALBENCH_HALVES
#undef ALBENCH_TARGET
