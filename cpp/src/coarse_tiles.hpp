// What products of small integers for one instruction set have in common with those for another.
#pragma once

#include <algorithm>

#include "albench/coarse_rows.hpp"

// What the macro is given are attributes and names of templates, which parentheses would break.
// NOLINTBEGIN(bugprone-macro-parentheses)
// All rows, so many at a time, and all columns: a tile that is not full passes through a buffer.
#define ALBENCH_COARSE_DOT(NAME, TARGET, ROWS, WIDE, TILE)                                                  \
  template <unsigned Rows>                                                                                  \
  TARGET void some_rows_##NAME(const std::int8_t* x, Index x_stride, Index rows, const std::uint8_t* panel, \
                               Index depth, std::int32_t* c, Index ldc, Index cols) {                       \
    for (; rows >= Rows; rows -= Rows, x += Rows * x_stride, c += Rows * ldc)                               \
      for (Index at = 0; at < cols; at += WIDE) {                                                           \
        const std::uint8_t* from = panel + at * kQuad;                                                      \
        if (cols - at >= WIDE) {                                                                            \
          TILE(x, x_stride, from, depth, c + at, ldc);                                                      \
          continue;                                                                                         \
        }                                                                                                   \
        std::int32_t few[Rows * WIDE];                                                                      \
        TILE(x, x_stride, from, depth, few, Index{WIDE});                                                   \
        for (unsigned r = 0; r < Rows; ++r) std::copy_n(few + r * WIDE, cols - at, c + r * ldc + at);       \
      }                                                                                                     \
    if constexpr (Rows > 1)                                                                                 \
      if (rows > 0) some_rows_##NAME<Rows / 2>(x, x_stride, rows, panel, depth, c, ldc, cols);              \
  }                                                                                                         \
  TARGET void dot_##NAME(const std::int8_t* x, Index x_stride, Index rows, const std::uint8_t* panel,       \
                         Index depth, std::int32_t* c, Index ldc, Index cols) {                             \
    some_rows_##NAME<ROWS>(x, x_stride, rows, panel, depth, c, ldc, cols);                                  \
  }

// NOLINTEND(bugprone-macro-parentheses)
