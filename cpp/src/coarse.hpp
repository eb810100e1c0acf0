// What multiplies small integers, written by hand for each instruction set.
#pragma once

#include "albench/kernels.hpp"

namespace albench {

KernelTable with_avx2_coarse(KernelTable table);
KernelTable with_avx512_coarse(KernelTable table);  // as any processor with AVX-512 can
KernelTable with_vnni_coarse(KernelTable table);    // and newer ones
KernelTable with_neon_coarse(KernelTable table);    // where the processor has dot products of bytes

}  // namespace albench
