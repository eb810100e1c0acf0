#include "albench/coarse_features.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace albench {
namespace {

constexpr Index kMostDim = 65536;  // products fit 31 bits several times over
constexpr float kMostFactor = 1e30F;

// The step of whole numbers up to `most`, where the root of the sum of squares that ends up in one of
// coarse_dot's sums is at most `norm`: rounding adds at most half a step to each of kCoarseRun / 2 numbers.
float step_of(const float* x, Index dim, int most, double norm) {
  float largest[kQuad] = {};
  float part = 0.0F;
  for (Index start = 0; start < dim; start += kCoarseRun) {
    const Index end = std::min(dim, start + kCoarseRun);
    float squares[kQuad] = {};
    Index k = start;
    for (; k + kQuad <= end; k += kQuad)
      for (Index j = 0; j < kQuad; ++j) {
        squares[j] += x[k + j] * x[k + j];
        largest[j] = std::max(largest[j], std::fabs(x[k + j]));
      }
    for (; k < end; ++k) {
      squares[k % kQuad] += x[k] * x[k];
      largest[k % kQuad] = std::max(largest[k % kQuad], std::fabs(x[k]));
    }
    part = std::max({part, squares[0] + squares[1], squares[2] + squares[3]});
  }
  const float most_of_all = std::max({largest[0], largest[1], largest[2], largest[3]});
  const double rounding = 0.5 * std::sqrt(static_cast<double>(kCoarseRun / 2));
  return std::max(most_of_all / static_cast<float>(most),
                  std::sqrt(part) / static_cast<float>(0.999 * (norm - rounding)));
}

// To whole numbers, of which `zero` stands for 0.
template <class Number>
void quantise(const float* x, Index dim, float step, int zero, Number* to) {
  const float factor = step > 0.0F && std::isfinite(1.0F / step) ? 1.0F / step : 0.0F;
  constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: what is added to it is rounded to whole numbers
  constexpr std::int32_t kBits = 0x4B400000;
  for (Index k = 0; k < dim; ++k) {
    const float shifted = x[k] * factor + kShift;
    std::int32_t bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    to[k] = static_cast<Number>(bits - kBits + zero);
  }
}

}  // namespace

bool CoarseFeatures::supports(const Source& source) {
  return kernels().coarse_dot != nullptr && source.panels() != nullptr && source.panels()->linear() &&
         source.panels()->dim() <= kMostDim;
}

CoarseFeatures::CoarseFeatures(const Source& source, Index first)
    : source_(source),
      first_(first),
      dim_(source.panels()->dim()),
      depth_(depth_of(dim_)),
      stride_(stride_of(dim_)),
      rows_(static_cast<std::size_t>((source.rows() - first) * stride_)),
      columns_(static_cast<std::size_t>(source.cols() * depth_)),
      column_factors_(static_cast<std::size_t>(source.cols())) {
  std::vector<float> features(static_cast<std::size_t>(dim_));
  for (Index c = 0; c < source.cols(); ++c) {
    source.panels()->column(c, features.data());
    const float step = step_of(features.data(), dim_, kCoarseMostColumn, kCoarseColumnNorm);
    column_factors_[static_cast<std::size_t>(c)] = step;
    std::uint8_t* to = columns_.data() + c * depth_;
    std::fill_n(to, depth_, static_cast<std::uint8_t>(kCoarseZero));
    quantise(features.data(), dim_, step, kCoarseZero, to);
  }
  std::vector<Index> every(static_cast<std::size_t>(source.cols()));
  std::iota(every.begin(), every.end(), Index{0});
  select(every, all_);
}

void CoarseFeatures::make(Index row, Buffer<float>& features, std::int8_t* to) const {
  features.resize(static_cast<std::size_t>(dim_));
  source_.read_features(row, features.data());
  const float step = step_of(features.data(), dim_, kCoarseMostRow, kCoarseRowNorm);
  std::memset(to, 0, static_cast<std::size_t>(depth_));
  quantise(features.data(), dim_, step, 0, to);
  write_starts(to, depth_);
  float factor = step * source_.factor(row);
  if (!(factor < kMostFactor)) factor = std::numeric_limits<float>::infinity();
  std::memcpy(to + stride_ - sizeof factor, &factor, sizeof factor);
}

void CoarseFeatures::select(const std::vector<Index>& columns, CoarsePanels& out) const {
  out.size = static_cast<Index>(columns.size());
  const Index panels = (out.size + kPanel - 1) / kPanel;
  out.packed.resize(static_cast<std::size_t>(panels * kPanel * depth_));
  out.factors.resize(columns.size());
  for (std::size_t p = 0; p < columns.size(); ++p)
    out.factors[p] = column_factors_[static_cast<std::size_t>(columns[p])];
  for (Index j = 0; j < panels * kPanel; ++j) {
    // The last panel is filled up with copies of its last column.
    const std::uint8_t* from =
        columns_.data() + columns[static_cast<std::size_t>(std::min(j, out.size - 1))] * depth_;
    std::uint8_t* to = out.packed.data() + j / kPanel * kPanel * depth_ + j % kPanel * kQuad;
    for (Index k = 0; k < depth_; k += kQuad) std::memcpy(to + k * kPanel, from + k, kQuad);
  }
}

void CoarseFeatures::products(const Index* rows, Index count, const CoarsePanels& panels, Index cols,
                              std::int32_t* out, Index ldo, Buffer<std::int8_t>& packed) const {
  const std::int8_t* from = at(rows[0]);
  bool together = true;
  for (Index r = 1; r < count; ++r) together = together && rows[r] == rows[0] + r;
  if (!together) {
    packed.resize(static_cast<std::size_t>(count * stride_));
    for (Index r = 0; r < count; ++r)
      std::memcpy(packed.data() + r * stride_, at(rows[r]), static_cast<std::size_t>(stride_));
    from = packed.data();
  }
  products(from, count, panels, cols, out, ldo);
}

void CoarseFeatures::products(const std::int8_t* made, Index count, const CoarsePanels& panels, Index cols,
                              std::int32_t* out, Index ldo) const {
  for (Index column = 0; column < cols; column += kPanel)
    kernels().coarse_dot(made, stride_, count, panels.packed.data() + column * depth_, depth_, out + column,
                         ldo, std::min(kPanel, cols - column));
}

void CoarseFeatures::prefetch(Index row) const {
  constexpr Index kLine = 64;
  for (Index byte = 0; byte < std::min(stride_, 8 * kLine); byte += kLine) __builtin_prefetch(at(row) + byte);
}

}  // namespace albench
