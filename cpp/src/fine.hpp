// What multiplies 16-bit numbers, for each instruction set.
#pragma once

#include "albench/kernels.hpp"

namespace albench {

KernelTable with_avx2_fine(KernelTable table);
KernelTable with_avx512_fine(KernelTable table);  // as any processor with AVX-512 can
KernelTable with_vnni_fine(KernelTable table);    // and newer ones

}  // namespace albench
