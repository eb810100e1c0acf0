// AVX2 + FMA kernels: the same chains and lanes as the AVX-512 ones, half as wide.
#include "albench/kernels.hpp"
#include "quanta.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>

#include <cmath>

#define ALBENCH_AVX2 __attribute__((target("avx2,fma")))

namespace albench {
namespace {

// Rows x 8 Vectors outputs stay in registers, at most 4 x 24 in 12 of the 16: half a panel.
template <unsigned Rows, unsigned Vectors, bool Square>
ALBENCH_AVX2 void block(const float* x, const float* panel, Index depth, float* c, Index ldc, Index cols,
                        bool accumulate) {
  __m256 sum[Rows][Vectors];
#pragma GCC unroll 4
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) sum[r][v] = _mm256_setzero_ps();
  for (Index k = 0; k < depth; ++k) {
    __m256 q[Vectors];
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) q[v] = _mm256_loadu_ps(panel + k * kPanel + 8 * v);
#pragma GCC unroll 4
    for (unsigned r = 0; r < Rows; ++r) {
      const __m256 xv = _mm256_broadcast_ss(x + r * kRowStride + k);
#pragma GCC unroll 3
      for (unsigned v = 0; v < Vectors; ++v) {
        if (Square) {
          const __m256 difference = _mm256_sub_ps(xv, q[v]);
          sum[r][v] = _mm256_fmadd_ps(difference, difference, sum[r][v]);
        } else {
          sum[r][v] = _mm256_fmadd_ps(xv, q[v], sum[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < Vectors; ++v) {
      float* out = c + r * ldc + 8 * v;
      const Index n = cols - 8 * static_cast<Index>(v);
      if (n >= 8) {
        _mm256_storeu_ps(out, accumulate ? _mm256_add_ps(_mm256_loadu_ps(out), sum[r][v]) : sum[r][v]);
        continue;
      }
      alignas(32) float tail[8];
      _mm256_store_ps(tail, sum[r][v]);
      for (Index j = 0; j < n; ++j) out[j] = accumulate ? out[j] + tail[j] : tail[j];
    }
}

template <unsigned Rows, bool Square>
ALBENCH_AVX2 void rows_of(const float* x, const float* panel, Index depth, float* c, Index ldc, Index cols,
                          bool accumulate) {
  for (Index at = 0; at < cols; at += 24) {
    const Index left = cols - at;
    if (left > 16) {
      block<Rows, 3, Square>(x, panel + at, depth, c + at, ldc, left, accumulate);
    } else if (left > 8) {
      block<Rows, 2, Square>(x, panel + at, depth, c + at, ldc, left, accumulate);
    } else {
      block<Rows, 1, Square>(x, panel + at, depth, c + at, ldc, left, accumulate);
    }
  }
}

template <bool Square>
ALBENCH_AVX2 void product(const float* x, Index rows, const float* panel, Index depth, float* c, Index ldc,
                          Index cols, bool accumulate) {
  while (rows > 0) {
    Index done = 1;
    if (rows >= 4) {
      rows_of<4, Square>(x, panel, depth, c, ldc, cols, accumulate);
      done = 4;
    } else if (rows >= 2) {
      rows_of<2, Square>(x, panel, depth, c, ldc, cols, accumulate);
      done = 2;
    } else {
      rows_of<1, Square>(x, panel, depth, c, ldc, cols, accumulate);
    }
    rows -= done, x += done * kRowStride, c += done * ldc;
  }
}

struct Lanes {  // 16 double lanes in the order of the portable path
  __m256d part[4];
};

ALBENCH_AVX2 inline double add_lanes(const Lanes& l) {
  const __m256d a = _mm256_add_pd(l.part[0], l.part[2]);
  const __m256d b = _mm256_add_pd(l.part[1], l.part[3]);
  const __m256d four = _mm256_add_pd(a, b);
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

template <bool Weighted>
ALBENCH_AVX2 inline void gain16(Lanes& l, const float* s, const float* memo, const double* memo_wide,
                                const double* w) {
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
    const __m128 v = _mm_max_ps(_mm_loadu_ps(s + 4 * p), _mm_loadu_ps(memo + 4 * p));
    __m256d rise = _mm256_sub_pd(_mm256_cvtps_pd(v), _mm256_loadu_pd(memo_wide + 4 * p));
    if (Weighted) rise = _mm256_mul_pd(rise, _mm256_loadu_pd(w + 4 * p));
    l.part[p] = _mm256_add_pd(l.part[p], rise);
  }
}

template <bool Weighted>
ALBENCH_AVX2 double gain(const float* s, const float* memo, const double* memo_wide, const double* w,
                         Index n) {
  Lanes l;
  for (__m256d& part : l.part) part = _mm256_setzero_pd();
  Index c = 0;
  for (; c + 16 <= n; c += 16) gain16<Weighted>(l, s + c, memo + c, memo_wide + c, Weighted ? w + c : w);
  if (c < n) {  // the rest, padded with columns that rise by nothing
    float s_tail[16] = {};
    float memo_tail[16] = {};
    double wide_tail[16] = {};
    double w_tail[16] = {};
    for (Index j = 0; c + j < n; ++j) {
      s_tail[j] = s[c + j];
      memo_tail[j] = memo[c + j];
      wide_tail[j] = memo_wide[c + j];
      if (Weighted) w_tail[j] = w[c + j];
    }
    gain16<Weighted>(l, s_tail, memo_tail, wide_tail, w_tail);
  }
  return add_lanes(l);
}

ALBENCH_AVX2 double facility_gain(const float* s, const float* memo, const double* memo_wide, const double* w,
                                  Index n) {
  return w != nullptr ? gain<true>(s, memo, memo_wide, w, n) : gain<false>(s, memo, memo_wide, w, n);
}

ALBENCH_AVX2 RowStart facility_start(const float* s, const double* w, Index n) {
  static const float zeros[16] = {};
  static const double wide_zeros[16] = {};
  Lanes l;
  for (__m256d& part : l.part) part = _mm256_setzero_pd();
  __m128 largest = _mm_setzero_ps();
  bool finite = true;
  for (Index c = 0; c < n; c += 16) {
    float s_tail[16] = {};
    double w_tail[16] = {};
    const float* from = s + c;
    const double* weight = w != nullptr ? w + c : nullptr;
    if (n - c < 16) {
      for (Index j = 0; c + j < n; ++j) s_tail[j] = s[c + j];
      from = s_tail;
      if (w != nullptr) {
        for (Index j = 0; c + j < n; ++j) w_tail[j] = w[c + j];
        weight = w_tail;
      }
    }
    for (int p = 0; p < 4; ++p) {
      const __m128 raw = _mm_loadu_ps(from + 4 * p);
      // x - x is 0 for finite numbers and NaN otherwise.
      const __m128 self = _mm_sub_ps(raw, raw);
      finite = finite && _mm_movemask_ps(_mm_cmpunord_ps(self, self)) == 0;
      largest = _mm_max_ps(largest, raw);
    }
    if (w != nullptr) {
      gain16<true>(l, from, zeros, wide_zeros, weight);
    } else {
      gain16<false>(l, from, zeros, wide_zeros, weight);
    }
  }
  alignas(16) float lane[4];
  _mm_store_ps(lane, largest);
  const float a = lane[0] > lane[1] ? lane[0] : lane[1];
  const float b = lane[2] > lane[3] ? lane[2] : lane[3];
  return {add_lanes(l), a > b ? a : b, finite};
}

template <bool Weighted>
ALBENCH_AVX2 double clamped(const float* s, const float* low, const float* high, const double* w, Index n) {
  Lanes l;
  for (__m256d& part : l.part) part = _mm256_setzero_pd();
  for (Index c = 0; c < n; c += 16) {
    float tail[3][16] = {};
    double w_tail[16] = {};
    const float* from[3] = {s + c, low + c, high + c};
    const double* weight = Weighted ? w + c : nullptr;
    if (n - c < 16) {
      for (Index j = 0; c + j < n; ++j) {
        for (int t = 0; t < 3; ++t) tail[t][j] = from[t][j];
        if (Weighted) w_tail[j] = weight[j];
      }
      for (int t = 0; t < 3; ++t) from[t] = tail[t];
      weight = w_tail;
    }
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
      const __m128 base = _mm_loadu_ps(from[1] + 4 * p);
      const __m128 v =
          _mm_min_ps(_mm_max_ps(_mm_loadu_ps(from[0] + 4 * p), base), _mm_loadu_ps(from[2] + 4 * p));
      __m256d rise = _mm256_sub_pd(_mm256_cvtps_pd(v), _mm256_cvtps_pd(base));
      if (Weighted) rise = _mm256_mul_pd(rise, _mm256_loadu_pd(weight + 4 * p));
      l.part[p] = _mm256_add_pd(l.part[p], rise);
    }
  }
  return add_lanes(l);
}

ALBENCH_AVX2 double clamped_rise(const float* s, const float* low, const float* high, const double* w,
                                 Index n) {
  return w != nullptr ? clamped<true>(s, low, high, w, n) : clamped<false>(s, low, high, w, n);
}

ALBENCH_AVX2 void quantise(const float* s, Index rows, Index cols, float factor, std::uint8_t* block) {
  quantise_body(s, rows, cols, factor, block);
}

ALBENCH_AVX2 void quantised_loss(const std::uint8_t* block, const QuantumChange* changes, Index count, bool,
                                 std::int32_t* gains) {
  quantised_loss_body(block, changes, count, gains);
}

ALBENCH_AVX2 Index above(const float* s, float limit, Index n, std::int32_t* out, Index most) {
  return above_body(s, limit, n, out, most);
}

ALBENCH_AVX2 void scale(float* s, float factor, Index n) {
  for (Index c = 0; c < n; ++c) s[c] *= factor;
}

ALBENCH_AVX2 double sum_of_squares(const float* x, Index n) {
  Lanes l;
  for (__m256d& part : l.part) part = _mm256_setzero_pd();
  for (Index k = 0; k < n; k += 16) {
    float tail[16] = {};
    const float* from = x + k;
    if (n - k < 16) {
      for (Index j = 0; k + j < n; ++j) tail[j] = from[j];
      from = tail;
    }
    for (int p = 0; p < 4; ++p) {
      const __m256d v = _mm256_cvtps_pd(_mm_loadu_ps(from + 4 * p));
      l.part[p] = _mm256_add_pd(l.part[p], _mm256_mul_pd(v, v));
    }
  }
  return add_lanes(l);
}

ALBENCH_AVX2 double squared_distance(const float* x, const float* y, Index n) {
  Lanes l;
  for (__m256d& part : l.part) part = _mm256_setzero_pd();
  for (Index k = 0; k < n; k += 16) {
    float x_tail[16] = {};
    float y_tail[16] = {};
    const float* a = x + k;
    const float* b = y + k;
    if (n - k < 16) {
      for (Index j = 0; k + j < n; ++j) x_tail[j] = a[j], y_tail[j] = b[j];
      a = x_tail, b = y_tail;
    }
    for (int p = 0; p < 4; ++p) {
      const __m256d v =
          _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(a + 4 * p)), _mm256_cvtps_pd(_mm_loadu_ps(b + 4 * p)));
      l.part[p] = _mm256_add_pd(l.part[p], _mm256_mul_pd(v, v));
    }
  }
  return add_lanes(l);
}

}  // namespace

const KernelTable* avx2_kernels() {
  static const KernelTable table{"avx2",         product<false>, product<true>,  facility_gain,
                                 facility_start, clamped_rise,   quantise,       quantised_loss,
                                 above,          scale,          sum_of_squares, squared_distance};
  const bool here = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return here ? &table : nullptr;
}

}  // namespace albench
#else
namespace albench {
const KernelTable* avx2_kernels() {
  return nullptr;
}
}  // namespace albench
#endif
