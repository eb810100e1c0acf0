// What is made of products of small integers, included by kernels_body.hpp for each instruction set.
ALBENCH_TARGET ALBENCH_INLINE Floats converted(const std::int32_t* from) {
  return __builtin_convertvector(load<Ints>(from), Floats);
}

ALBENCH_TARGET CoarseError coarse_error(const std::int32_t* products, const float* factors, float factor,
                                        const float* s, Index n) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  Floats below[kVectors];
  Floats largest[kVectors] = {};
  for (Index v = 0; v < kVectors; ++v) below[v] = kLowest - Floats{};
  for (Index c = 0; c < n; c += kLanes) {
    std::int32_t few_products[kLanes];
    float few[2][kLanes];
    const std::int32_t* p = products + c;
    const float* from[2] = {factors + c, s + c};
    if (n - c < kLanes) {
      p = filled(p, n - c, few_products);
      from[0] = filled(from[0], n - c, few[0]);
      for (Index j = 0; j < kLanes; ++j) few[1][j] = j < n - c ? from[1][j] : kLowest;
      from[1] = few[1];
    }
#pragma GCC unroll 4
    for (Index v = 0; v < kVectors; ++v) {
      const Index at = kFloats * v;
      const Floats coarse = converted(p + at) * (load<Floats>(from[0] + at) * factor);
      below[v] = larger(load<Floats>(from[1] + at) - coarse, below[v]);
      largest[v] = larger(larger(coarse, -coarse), largest[v]);
    }
  }
  CoarseError found = {kLowest, 0.0F};
  for (Index v = 0; v < kVectors; ++v)
    for (Index l = 0; l < kFloats; ++l) {
      found.below = std::max(found.below, static_cast<float>(below[v][l]));
      found.largest = std::max(found.largest, static_cast<float>(largest[v][l]));
    }
  return found;
}

// What kLanes columns add to the rise, by lanes.
template <bool Weighted>
ALBENCH_TARGET ALBENCH_INLINE void rise_terms(Floats* sum, const std::int32_t* products, const float* factors,
                                              Floats factor, Floats offset, const float* low,
                                              const float* high, const float* w) {
#pragma GCC unroll 4
  for (Index v = 0; v < kVectors; ++v) {
    const Index at = kFloats * v;
    const Floats base = load<Floats>(low + at);
    const Floats raised = ALBENCH_FMA(converted(products + at), load<Floats>(factors + at) * factor, offset);
    const Floats rise = smaller(larger(raised, base), load<Floats>(high + at)) - base;
    sum[v] += Weighted ? rise * load<Floats>(w + at) : rise;
  }
}

template <bool Weighted>
ALBENCH_TARGET double rise_of_coarse(const std::int32_t* products, const float* factors, float factor,
                                     float offset, const float* low, const float* high, const float* w,
                                     Index n) {
  const Floats all_factor = factor - Floats{};
  const Floats all_offset = offset - Floats{};
  double sum = 0.0;
  for (Index begin = 0; begin < n; begin += kCoarseSum) {
    Floats part[kVectors] = {};
    const Index end = std::min(n, begin + kCoarseSum);
    Index c = begin;
    for (; c + kLanes <= end; c += kLanes)
      rise_terms<Weighted>(part, products + c, factors + c, all_factor, all_offset, low + c, high + c,
                           Weighted ? w + c : nullptr);
    if (c < end) {
      std::int32_t few_products[kLanes];
      float few[4][kLanes];
      rise_terms<Weighted>(part, filled(products + c, end - c, few_products),
                           filled(factors + c, end - c, few[0]), all_factor, all_offset,
                           filled(low + c, end - c, few[1]), filled(high + c, end - c, few[2]),
                           Weighted ? filled(w + c, end - c, few[3]) : nullptr);
    }
    const Fours four = folded<Fours>(part);
    sum += static_cast<double>((four[0] + four[2]) + (four[1] + four[3]));
  }
  return sum;
}

ALBENCH_TARGET double coarse_rise(const std::int32_t* products, const float* factors, float factor,
                                  float offset, const float* low, const float* high, const float* w,
                                  Index n) {
  return w != nullptr ? rise_of_coarse<true>(products, factors, factor, offset, low, high, w, n)
                      : rise_of_coarse<false>(products, factors, factor, offset, low, high, w, n);
}
