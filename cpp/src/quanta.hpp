// What kernels of blocks of quanta are replaced by where they are written by hand, and what those share.
#pragma once

#include "albench/kernels.hpp"

namespace albench {

// Rows are quantised a strip at a time, in the order in which they lie in memory, and the strip is turned
// from the first-level cache.
constexpr Index kStripColumns = 512;
constexpr Index kStripStride = kStripColumns + 64;  // off any power of two, so that cache sets differ
constexpr Index kSummedBytes = 256;                 // bytes whose sum fits 16 bits

KernelTable with_avx2_quanta(KernelTable table);
KernelTable with_avx512_quanta(KernelTable table);
KernelTable with_neon_quanta(KernelTable table);

}  // namespace albench
