// The inner loops, in one table per instruction set, chosen once at run time.
//
// Two rules make results reproducible:
//  * Every output of a product is one chain of multiply-adds over the features in order, cut into chunks of
//    kChunk whose results are added in order. The value therefore does not depend on the tile it was computed
//    in, nor on the thread; AVX2, AVX-512 and ARM give the same bits (all fuse), other processors round
//    twice.
//  * Every sum over columns goes through 16 double lanes (column c into lane c mod 16) that are added in a
//  fixed
//    tree, and products are rounded before they are added. Given similarities, gains are the same bits on
//    every instruction set. As rounding is monotone, a gain computed this way never rises while the memo
//    grows, so stale gains are rigorous upper bounds and lazy greedy can equal naive greedy bit for bit.
#pragma once

#include "albench/types.hpp"

namespace albench {

constexpr Index kChunk = 512;      // features per multiply-add chain
constexpr Index kRowStride = 528;  // floats between packed rows: off any power of two, so L1 sets differ
constexpr Index kPanel = 48;       // query columns per packed panel
constexpr Index kMicroRows = 8;    // rows a micro-kernel holds in registers
constexpr Index kLanes = 16;       // double lanes of a sum over columns

constexpr Index kLanesOfBlock = 64;  // rows side by side in a block of quanta: one cache line a column

struct QuantumChange {  // one column's memo rises from low to high
  std::int32_t column;
  std::uint8_t low;
  std::uint8_t high;
  std::uint16_t weight;  // below 2^15
};

// Small integers, in place of features: those of a row lie together (coarse_rows.hpp). A panel of columns has
// quads of kPanel columns side by side, every number raised by kCoarseZero. Of the first two numbers of every
// quad of a run of kCoarseRun, and of the last two, the root of the sum of squares is at most kCoarseRowNorm,
// of a column's kCoarseColumnNorm: their products then add up within 16 bits.
constexpr Index kQuad = 4;
constexpr Index kCoarseRun = 64;
constexpr int kCoarseZero = 64;
constexpr int kCoarseMostRow = 127;    // largest of a row
constexpr int kCoarseMostColumn = 63;  // and of a column, before it is raised
constexpr double kCoarseRowNorm = 256.0;
constexpr double kCoarseColumnNorm = 127.0;

// 16-bit numbers in place of features: a panel of columns has pairs of kPanel columns side by side. The root
// of the sum of squares of a row's or a column's numbers is below that of 2^31, so that no sum of products
// overflows.
constexpr Index kPair = 2;

struct FineRow {
  float factor;
  float offset;
};

constexpr Index kCoarseSum = 1024;  // columns whose rises are added in float32

struct CoarseError {
  float below;    // max_c (s_c - v_c), v the coarse similarities
  float largest;  // max_c |v_c|
};

struct RowStart {  // what the first look at a row finds
  double gain;     // sum_c w_c max(s_c, 0)
  float max;       // max(0, max_c s_c)
  bool finite;     // no NaN, no infinity
};

struct KernelTable {
  const char* name;

  // c[r, j] (+)= sum_k x[r, k] * panel[k, j] for r < rows, j < cols <= kPanel, k < depth <= kChunk. x has row
  // stride kRowStride, panel has row stride kPanel; `accumulate` adds to c instead of replacing it.
  void (*dot)(const float* x, Index rows, const float* panel, Index depth, float* c, Index ldc, Index cols,
              bool accumulate);
  // The same with (x - panel)^2 in place of the product: exact for equal points, unlike norms minus products.
  void (*square_distance)(const float* x, Index rows, const float* panel, Index depth, float* c, Index ldc,
                          Index cols, bool accumulate);

  // sum_c w_c (max(s_c, memo_c) - memo_c); memo given in both widths. w may be null (all ones).
  double (*facility_gain)(const float* s, const float* memo, const double* memo_wide, const double* w,
                          Index n);
  RowStart (*facility_start)(const float* s, const double* w, Index n);

  // sum_c w_c (min(max(s_c, low_c), high_c) - low_c): what raising the memo from low to high takes from a
  // gain.
  double (*clamped_rise)(const float* s, const float* low, const float* high, const double* w, Index n);

  // A block of quanta, column by column, of `rows` <= kLanesOfBlock rows that lie `cols` apart:
  // block[c * kLanesOfBlock + r] = ceil(s_rc * factor) within 0..255, at least 1 where s_rc > 0; 0 for rows
  // that are not there. sums[r], of all kLanesOfBlock rows, is what a row's quanta add up to.
  void (*quantise)(const float* s, Index rows, Index cols, float factor, std::uint8_t* block,
                   std::int32_t* sums);
  // Takes from gains[r] of all rows of a block the sum over the changes of
  // weight * (min(max(b_r, low), high) - low). `plain`: all weights are 1. All sums have to fit 31 bits.
  void (*quantised_loss)(const std::uint8_t* block, const QuantumChange* changes, Index count, bool plain,
                         std::int32_t* gains);
  // Products of small integers: c[r, j] = sum_k x[r, k] * (panel[k, j] - kCoarseZero) for r < rows, j < cols
  // <= kPanel; rows lie x_stride bytes apart, depth is a multiple of kQuad. Null where that is no faster than
  // `dot`.
  void (*coarse_dot)(const std::int8_t* x, Index x_stride, Index rows, const std::uint8_t* panel, Index depth,
                     std::int32_t* c, Index ldc, Index cols);
  // How far coarse similarities v_c = products_c * factors_c * factor, in float32, lie below s.
  CoarseError (*coarse_error)(const std::int32_t* products, const float* factors, float factor,
                              const float* s, Index n);
  // clamped_rise of s_c = v_c + offset, in float32: within 2^-17 of itself, and each
  // column's own rise the same bits wherever it stands. w: float32 here.
  double (*coarse_rise)(const std::int32_t* products, const float* factors, float factor, float offset,
                        const float* low, const float* high, const float* w, Index n);

  // c[r, j] = factors_j * rows_r.factor * sum_k x[r, k] * panel[k, j] + rows_r.offset of 16-bit numbers, in
  // float32, for r < count, j < cols <= kPanel; rows lie x_stride numbers apart, depth is a multiple of
  // kPair. Null where that is no faster than `dot`.
  void (*fine_dot)(const std::int16_t* x, Index x_stride, Index count, const std::int16_t* panel, Index depth,
                   const float* factors, const FineRow* rows, float* c, Index ldc, Index cols);

  // The first `most` columns with s_c > limit, ascending; returns how many.
  Index (*above)(const float* s, float limit, Index n, std::int32_t* out, Index most);

  // s_c *= factor.
  void (*scale)(float* s, float factor, Index n);

  // n float16 that follow each other, at any address, to float32: the bits of half_to_float.
  void (*widen)(const std::byte* from, Index n, float* out);

  // sum_k x_k^2: finite exactly where all x are, since squares of float32 stay far inside double.
  double (*sum_of_squares)(const float* x, Index n);
  // sum_k (x_k - y_k)^2, in double.
  double (*squared_distance)(const float* x, const float* y, Index n);
};

// The table for this machine. ALBENCH_ISA=portable|neon|avx2|avx512 in the environment restricts it (for
// tests).
const KernelTable& kernels();

const KernelTable& portable_kernels();
const KernelTable* neon_kernels();          // null where compiler or processor lacks it
const KernelTable* avx2_kernels();          // likewise
const KernelTable* avx512_kernels();        // likewise
const KernelTable* plain_avx512_kernels();  // without what newer processors add (VNNI)

}  // namespace albench
