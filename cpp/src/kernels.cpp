// One table of kernels for each instruction set, all from the same source (kernels_body.hpp).
//
// The source is written in GNU vector types, which GCC and Clang compile for any processor; what an
// instruction set adds is how many floats a vector holds, how many rows of a product fit its registers, and
// how it fuses multiply and add.
#include "albench/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "albench/features.hpp"
#include "coarse.hpp"
#include "fine.hpp"
#include "quanta.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors pass between inlined functions alone
#endif

#define ALBENCH_INLINE __attribute__((always_inline)) inline

// Elsewhere products round before they are added.
#define ALBENCH_SET baseline
#define ALBENCH_FLOATS 4
#if defined(__aarch64__)
#define ALBENCH_MICRO_ROWS 8
#define ALBENCH_FMA(a, b, c) vfmaq_f32(c, a, b)
#define ALBENCH_WIDE(v) vcvt_f64_f32(v)  // which GCC 12 would do number by number
#define ALBENCH_HALVES(v) vcvt_f32_f16(reinterpret_cast<float16x4_t>(v))
#else
#define ALBENCH_MICRO_ROWS 4
#define ALBENCH_FMA(a, b, c) ((a) * (b) + (c))
#define ALBENCH_WIDE(v) __builtin_convertvector(v, Doubles)
#endif
#define ALBENCH_TARGET
#include "kernels_body.hpp"

#if defined(__x86_64__)
#define ALBENCH_SET avx2
#define ALBENCH_FLOATS 8
#define ALBENCH_MICRO_ROWS 4
#define ALBENCH_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ALBENCH_WIDE(v) _mm256_cvtps_pd(v)
#define ALBENCH_HALVES(v) _mm256_cvtph_ps(reinterpret_cast<__m128i>(v))
#define ALBENCH_TARGET __attribute__((target("avx2,fma,f16c")))
#include "kernels_body.hpp"

#define ALBENCH_SET avx512
#define ALBENCH_FLOATS 16
#define ALBENCH_MICRO_ROWS 8
#define ALBENCH_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define ALBENCH_WIDE(v) _mm512_cvtps_pd(v)
#define ALBENCH_HALVES(v) _mm512_cvtph_ps(reinterpret_cast<__m256i>(v))
#define ALBENCH_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#include "kernels_body.hpp"
#endif

namespace albench {
#if defined(__x86_64__)
namespace {

// F16C, which not every compiler's __builtin_cpu_supports knows by name.
bool converts_halves() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

}  // namespace
#endif

const KernelTable& portable_kernels() {
  static const KernelTable table = baseline::table("portable");
  return table;
}

const KernelTable* neon_kernels() {
#if defined(__aarch64__)
  static const KernelTable table = with_neon_coarse(with_neon_quanta(baseline::table("neon")));
  return &table;
#else
  return nullptr;
#endif
}

const KernelTable* avx2_kernels() {
#if defined(__x86_64__)
  static const KernelTable table = with_avx2_fine(with_avx2_coarse(with_avx2_quanta(avx2::table("avx2"))));
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && converts_halves()) return &table;
#endif
  return nullptr;
}

const KernelTable* plain_avx512_kernels() {
#if defined(__x86_64__)
  static const KernelTable table =
      with_avx512_fine(with_avx512_coarse(with_avx512_quanta(avx512::table("avx512"))));
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &table;
#endif
  return nullptr;
}

const KernelTable* avx512_kernels() {
#if defined(__x86_64__)
  if (plain_avx512_kernels() != nullptr && __builtin_cpu_supports("avx512vnni")) {
    static const KernelTable table = with_vnni_fine(with_vnni_coarse(*plain_avx512_kernels()));
    return &table;
  }
#endif
  return plain_avx512_kernels();
}

}  // namespace albench
