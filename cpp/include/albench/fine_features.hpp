// Features in 16-bit numbers: a first look at half the multiplications of floats.
//
// A row is x = step * X + rest, with whole numbers X whose norm is at most kFineNorm, so that steps are about
// the row's norm divided by it; so is a column. How far products of these are from those of the floats is
// bounded by norms (Cauchy-Schwarz) and what the floats' own products round: at 128 features by 1.5e-4 of
// what a similarity can be, while similarities of random directions differ by 0.09. Rows are made when they
// are read and not kept.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "albench/buffer.hpp"
#include "albench/gain_bounds.hpp"
#include "albench/kernels.hpp"
#include "albench/source.hpp"

namespace albench {

constexpr double kFineNorm = 46300.0;

class FineFeatures {
 public:
  // For a source of features whose similarities are linear in them.
  explicit FineFeatures(const Source& source);
  static bool supports(const Source& source);

  // Numbers no smaller than the similarities of rows [first, first + count), caps applied, to out (count, q).
  // False where numbers are so large that there are none.
  bool read(Index first, Index count, float* out, TileScratch& scratch) const;
  // Whether what they exceed similarities by is small beside what gains differ by, told from some rows.
  bool promising(const FacilityState& state) const;

 private:
  struct Numbers {
    float step;
    double norm;   // of the features
    double error;  // norm of what the whole numbers leave
  };
  Numbers quantise(const float* x, std::int16_t* to) const;
  bool load(Index row, Buffer<float>& features, std::int16_t* to, FineRow& out) const;

  const Source& source_;
  Index dim_;
  Index depth_;
  Buffer<std::int16_t> panels_;
  std::vector<float> steps_;  // (q,) of columns
  double largest_norm_ = 0.0;
  double largest_error_ = 0.0;
};

// Null where floats are as fast or as good.
std::unique_ptr<FineFeatures> make_fine_features(const FacilityState& state);

}  // namespace albench
