// Chooses the kernel table once per process.
#include <cstdlib>
#include <string>

#include "albench/kernels.hpp"

namespace albench {
namespace {

const KernelTable& choose() {
  const char* wanted = std::getenv("ALBENCH_ISA");
  const std::string isa = wanted != nullptr ? wanted : "";
  if (!isa.empty() && isa != "portable" && isa != "neon" && isa != "avx2" && isa != "avx512")
    throw InputError("ALBENCH_ISA", "portable, neon, avx2 or avx512", "'" + isa + "'");
  if (isa != "portable") {
    if (avx512_kernels() != nullptr && isa != "avx2" && isa != "neon") return *avx512_kernels();
    if (avx2_kernels() != nullptr && isa != "neon") return *avx2_kernels();
    if (neon_kernels() != nullptr) return *neon_kernels();
  }
  return portable_kernels();
}

}  // namespace

const KernelTable& kernels() {
  static const KernelTable& table = choose();
  return table;
}

}  // namespace albench
