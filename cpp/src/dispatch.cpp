// Chooses the kernel table once per process.
#include <cstdlib>
#include <string>

#include "albench/kernels.hpp"

namespace albench {
namespace {

const KernelTable& choose() {
  const char* wanted = std::getenv("ALBENCH_ISA");
  const std::string isa = wanted != nullptr ? wanted : "";
  if (!isa.empty() && isa != "portable" && isa != "avx2" && isa != "avx512")
    throw InputError("ALBENCH_ISA", "portable, avx2 or avx512", "'" + isa + "'");
  if (isa != "portable") {
    const KernelTable* best = avx512_kernels();
    if (best != nullptr && isa != "avx2") return *best;
    best = avx2_kernels();
    if (best != nullptr) return *best;
  }
  return portable_kernels();
}

}  // namespace

const KernelTable& kernels() {
  static const KernelTable& table = choose();
  return table;
}

}  // namespace albench
