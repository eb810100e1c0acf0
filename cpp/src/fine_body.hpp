// Products of 16-bit numbers, compiled once for each instruction set by fine_x86.cpp.
//
// One instruction multiplies two numbers each of a row and of a column and adds the two products in 32 bits.
namespace albench {
namespace {
namespace ALBENCH_SET {

typedef std::int32_t Words __attribute__((vector_size(ALBENCH_BYTES)));
typedef float Floats __attribute__((vector_size(ALBENCH_BYTES)));

constexpr Index kWords = ALBENCH_BYTES / static_cast<Index>(sizeof(std::int32_t));
constexpr Index kWide = ALBENCH_VECTORS * kWords;  // columns of a tile

template <class Vector, class Number>
ALBENCH_TARGET ALBENCH_INLINE Vector load(const Number* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <unsigned Rows>
ALBENCH_TARGET ALBENCH_INLINE void tile(const std::int16_t* x, Index x_stride, const std::int16_t* panel,
                                        Index depth, const float* factors, const FineRow* rows, float* c,
                                        Index ldc) {
  Words sum[Rows][ALBENCH_VECTORS] = {};
  for (Index k = 0; k < depth; k += kPair) {
    Words q[ALBENCH_VECTORS];
#pragma GCC unroll 3
    for (unsigned v = 0; v < ALBENCH_VECTORS; ++v)
      q[v] = load<Words>(panel + k * kPanel + kPair * kWords * v);
#pragma GCC unroll 8
    for (unsigned r = 0; r < Rows; ++r) {
      std::int32_t pair;
      std::memcpy(&pair, x + r * x_stride + k, sizeof pair);
      const Words xr = pair - Words{};
#pragma GCC unroll 3
      for (unsigned v = 0; v < ALBENCH_VECTORS; ++v) sum[r][v] = ALBENCH_ADD_PRODUCTS(sum[r][v], q[v], xr);
    }
  }
#pragma GCC unroll 8
  for (unsigned r = 0; r < Rows; ++r)
#pragma GCC unroll 3
    for (unsigned v = 0; v < ALBENCH_VECTORS; ++v) {
      const Floats factor = load<Floats>(factors + kWords * v) * rows[r].factor;
      const Floats s = __builtin_convertvector(sum[r][v], Floats) * factor + rows[r].offset;
      std::memcpy(c + r * ldc + kWords * v, &s, sizeof s);
    }
}

// All rows, so many at a time, and all columns: a tile that is not full passes through a buffer.
template <unsigned Rows>
ALBENCH_TARGET void some_rows(const std::int16_t* x, Index x_stride, Index count, const std::int16_t* panel,
                              Index depth, const float* factors, const FineRow* rows, float* c, Index ldc,
                              Index cols) {
  for (; count >= Rows; count -= Rows, x += Rows * x_stride, rows += Rows, c += Rows * ldc)
    for (Index at = 0; at < cols; at += kWide) {
      const std::int16_t* from = panel + at * kPair;
      if (cols - at >= kWide) {
        tile<Rows>(x, x_stride, from, depth, factors + at, rows, c + at, ldc);
        continue;
      }
      float some[kWide] = {};
      std::copy_n(factors + at, cols - at, some);
      float few[Rows * kWide];
      tile<Rows>(x, x_stride, from, depth, some, rows, few, kWide);
      for (unsigned r = 0; r < Rows; ++r) std::copy_n(few + r * kWide, cols - at, c + r * ldc + at);
    }
  if constexpr (Rows > 1)
    if (count > 0) some_rows<Rows / 2>(x, x_stride, count, panel, depth, factors, rows, c, ldc, cols);
}

ALBENCH_TARGET void dot(const std::int16_t* x, Index x_stride, Index count, const std::int16_t* panel,
                        Index depth, const float* factors, const FineRow* rows, float* c, Index ldc,
                        Index cols) {
  some_rows<ALBENCH_ROWS>(x, x_stride, count, panel, depth, factors, rows, c, ldc, cols);
}

}  // namespace ALBENCH_SET
}  // namespace
}  // namespace albench

#undef ALBENCH_SET
#undef ALBENCH_BYTES
#undef ALBENCH_ROWS
#undef ALBENCH_VECTORS
#undef ALBENCH_ADD_PRODUCTS
#undef ALBENCH_TARGET
