// Products of 16-bit numbers for AVX2 and AVX-512, without and with what multiplies and adds at once (VNNI).
#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "fine.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors pass between inlined functions alone
#endif

#define ALBENCH_INLINE __attribute__((always_inline)) inline

#define ALBENCH_SET fine_avx2
#define ALBENCH_BYTES 32
#define ALBENCH_ROWS 6
#define ALBENCH_VECTORS 2
#define ALBENCH_ADD_PRODUCTS(sum, q, x) \
  ((sum) +                              \
   reinterpret_cast<Words>(_mm256_madd_epi16(reinterpret_cast<__m256i>(q), reinterpret_cast<__m256i>(x))))
#define ALBENCH_TARGET __attribute__((target("avx2,fma")))
#include "fine_body.hpp"

#define ALBENCH_SET fine_avx512
#define ALBENCH_BYTES 64
#define ALBENCH_ROWS 8
#define ALBENCH_VECTORS 3
#define ALBENCH_ADD_PRODUCTS(sum, q, x) \
  ((sum) +                              \
   reinterpret_cast<Words>(_mm512_madd_epi16(reinterpret_cast<__m512i>(q), reinterpret_cast<__m512i>(x))))
#define ALBENCH_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#include "fine_body.hpp"

#define ALBENCH_SET fine_vnni
#define ALBENCH_BYTES 64
#define ALBENCH_ROWS 8
#define ALBENCH_VECTORS 3
#define ALBENCH_ADD_PRODUCTS(sum, q, x)                                                                     \
  reinterpret_cast<Words>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(q), \
                                              reinterpret_cast<__m512i>(x)))
#define ALBENCH_TARGET __attribute__((target("avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#include "fine_body.hpp"

namespace albench {

KernelTable with_avx2_fine(KernelTable table) {
  table.fine_dot = fine_avx2::dot;
  return table;
}

KernelTable with_avx512_fine(KernelTable table) {
  table.fine_dot = fine_avx512::dot;
  return table;
}

KernelTable with_vnni_fine(KernelTable table) {
  table.fine_dot = fine_vnni::dot;
  return table;
}

}  // namespace albench
#endif
