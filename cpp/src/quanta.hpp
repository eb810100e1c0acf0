// What kernels of blocks of quanta are replaced by where the processor has AVX2, and where it has AVX-512.
#pragma once

#include "albench/kernels.hpp"

namespace albench {

KernelTable with_avx2_quanta(KernelTable table);
KernelTable with_avx512_quanta(KernelTable table);

}  // namespace albench
