#include "albench/fine_features.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "sampled_slack.hpp"

namespace albench {
namespace {

constexpr Index kMostDim = 2048;  // half of the root of it has to fit between kFineNorm and the root of 2^31
constexpr double kMostNumber = 32767.0;
constexpr Index kTileRows = 48;        // rows that a panel of columns is read for
constexpr double kMostSlack = 0.5;     // in standard deviations of gains
constexpr double kLargest = 1e37;      // what similarities may be
constexpr double kRounding = 0x1p-20;  // more than all steps from a whole number to a similarity in float32
constexpr double kSlack = 1.0 + 1e-6;  // more than the rounding of norms and of sums of them
constexpr float kWhole = 12582912.0F;  // 1.5 * 2^23: what is added to it is rounded to whole numbers

}  // namespace

bool FineFeatures::supports(const Source& source) {
  return kernels().fine_dot != nullptr && source.panels() != nullptr && source.panels()->linear() &&
         source.panels()->dim() <= kMostDim;
}

FineFeatures::FineFeatures(const Source& source)
    : source_(source),
      dim_(source.panels()->dim()),
      depth_((dim_ + kPair - 1) / kPair * kPair),
      steps_(static_cast<std::size_t>(source.cols())) {
  std::vector<float> features(static_cast<std::size_t>(dim_));
  std::vector<std::int16_t> numbers(static_cast<std::size_t>(depth_), 0);
  const Index padded_cols = (source.cols() + kPanel - 1) / kPanel * kPanel;
  panels_.resize(static_cast<std::size_t>(padded_cols * depth_));
  for (Index c = 0; c < padded_cols; ++c) {
    // The last panel is filled up with copies of its last column.
    if (c < source.cols()) {
      source.panels()->column(c, features.data());
      const Numbers made = quantise(features.data(), numbers.data());
      steps_[static_cast<std::size_t>(c)] = made.step;
      largest_norm_ = std::max(largest_norm_, made.norm);
      largest_error_ = std::max(largest_error_, made.error);
    }
    std::int16_t* to = panels_.data() + c / kPanel * kPanel * depth_ + c % kPanel * kPair;
    for (Index k = 0; k < depth_; k += kPair) std::copy_n(numbers.data() + k, kPair, to + k * kPanel);
  }
}

FineFeatures::Numbers FineFeatures::quantise(const float* x, std::int16_t* to) const {
  const double norm = std::sqrt(kernels().sum_of_squares(x, dim_));
  float largest[kLanes] = {};
  for (Index k = 0; k < dim_; ++k) largest[k % kLanes] = std::max(largest[k % kLanes], std::fabs(x[k]));
  const auto most = static_cast<double>(*std::max_element(largest, largest + kLanes));
  const auto step = static_cast<float>(std::max(norm / kFineNorm, most / kMostNumber) * (1.0 + kRounding));
  const float inverse = 1.0F / step;
  if (!(step >= FLT_MIN && std::isfinite(step))) {  // nothing, or too small: all of it is error
    std::fill_n(to, dim_, std::int16_t{0});
    return {0.0F, norm, norm};
  }
  double error[kLanes] = {};
  const auto one = [&](Index k, Index lane) {
    const float whole = x[k] * inverse + kWhole - kWhole;
    to[k] = static_cast<std::int16_t>(whole);
    const double rest = static_cast<double>(x[k]) - static_cast<double>(step) * static_cast<double>(whole);
    error[lane] += rest * rest;
  };
  Index k = 0;
  for (; k + kLanes <= dim_; k += kLanes)
    for (Index lane = 0; lane < kLanes; ++lane) one(k + lane, lane);
  for (; k < dim_; ++k) one(k, 0);
  return {step, norm, std::sqrt(std::accumulate(error, error + kLanes, 0.0))};
}

bool FineFeatures::load(Index row, Buffer<float>& features, std::int16_t* to, FineRow& out) const {
  features.resize(static_cast<std::size_t>(dim_));
  source_.read_features(row, features.data());
  const Numbers x = quantise(features.data(), to);
  const auto factor = static_cast<double>(source_.factor(row));
  const double most = factor * x.norm * largest_norm_;
  // The floats' products are sums of dim products, rounded at every step.
  const double floats = static_cast<double>(dim_ + 16) * 0x1p-24 + kRounding;
  const double error =
      factor * (x.error * largest_norm_ + (x.norm + x.error) * largest_error_) + floats * most;
  out.factor = static_cast<float>(factor * static_cast<double>(x.step));
  out.offset = static_cast<float>(error * kSlack) + FLT_MIN * static_cast<float>(dim_ + 16);
  // The largest step of a column times the factor must not overflow either; it is below largest_norm_.
  return most <= kLargest && factor <= kLargest;
}

bool FineFeatures::read(Index first, Index count, float* out, TileScratch& scratch) const {
  const Index q = source_.cols();
  scratch.numbers.resize(static_cast<std::size_t>(kTileRows * depth_));
  for (Index begin = 0; begin < count; begin += kTileRows) {
    const Index in_tile = std::min(kTileRows, count - begin);
    FineRow rows[kTileRows];
    for (Index r = 0; r < in_tile; ++r) {
      std::int16_t* to = scratch.numbers.data() + r * depth_;
      to[depth_ - 1] = 0;
      if (!load(first + begin + r, scratch.packed, to, rows[r])) return false;
    }
    for (Index c = 0; c < q; c += kPanel)
      kernels().fine_dot(scratch.numbers.data(), depth_, in_tile, panels_.data() + c * depth_, depth_,
                         steps_.data() + c, rows, out + begin * q + c, q, std::min(kPanel, q - c));
  }
  const std::vector<float>& caps = source_.caps();
  if (caps.empty()) return true;
  for (Index r = 0; r < count; ++r)
    for (Index c = 0; c < q; ++c)
      out[r * q + c] = std::min(out[r * q + c], caps[static_cast<std::size_t>(c)]);
  return true;
}

bool FineFeatures::promising(const FacilityState& state) const {
  std::vector<float> above(static_cast<std::size_t>(source_.cols()));
  TileScratch scratch;
  return sampled_slack(state, 0, [&](Index row, const float*, const auto& gain_of) {
           return read(row, 1, above.data(), scratch) ? gain_of(above.data()) : DBL_MAX;
         }) <= kMostSlack;
}

}  // namespace albench
