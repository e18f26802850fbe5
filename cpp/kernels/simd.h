// One vector type per instruction set: load, store, select, fused multiply-add, transpose of a square of registers.
//
// For kernels.cpp alone, which is compiled once per instruction set: everything lives in an unnamed namespace, so that no
// linker can take a function built for one instruction set in place of another's. The only intrinsics are fma, sqrt, at_most
// and at_least.
#pragma once

#include "base/panel.h"

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#define RG_INLINE inline __attribute__((always_inline))
#define RG_NOINLINE __attribute__((noinline))
#if defined(__clang__)                     // which makes no copies of its own
#define RG_ONCE __attribute__((noinline))  // a single copy, for large functions that many call
#else
#define RG_ONCE __attribute__((noinline, noclone))  // a single copy, for large functions that many call
#endif
#define RG_LAMBDA __attribute__((always_inline))
#if defined(RG_HALVES)  // for tests alone: unrolled, they take three times as long to compile and run no faster
#define RG_UNROLL
#else
#define RG_UNROLL _Pragma("GCC unroll 16")
#endif
#define RG_NO_UNROLL _Pragma("GCC unroll 1")

namespace retrograd {
namespace {

#if defined(__AVX512F__) || defined(RG_HALVES)  // RG_HALVES: the tiles of AVX-512 on AVX2, for tests alone
constexpr int kVectorBytes = 64;
constexpr bool kFused = true;
constexpr int kRegisters = 32;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kVectorBytes = 32;
constexpr bool kFused = true;
constexpr int kRegisters = 16;
#elif defined(__ARM_NEON) && defined(__aarch64__)
constexpr int kVectorBytes = 16;
constexpr bool kFused = true;
constexpr int kRegisters = 32;
#else
constexpr int kVectorBytes = 16;
constexpr bool kFused = false;
constexpr int kRegisters = 16;
#endif

template <class T>
struct LaneTypes;
template <>
struct LaneTypes<float> {
  using Unsigned = std::uint32_t;
};
template <>
struct LaneTypes<double> {
  using Unsigned = std::uint64_t;
};

template <int... I>
struct Lanes {};
template <int N, int... I>
struct MakeLanes : MakeLanes<N - 1, N - 1, I...> {};
template <int... I>
struct MakeLanes<0, I...> {
  using type = Lanes<I...>;
};

// The operations on vectors of T (the `O` of elementary.h).
template <class T_>
struct Ops {
  using T = T_;
  using UnsignedLane = typename LaneTypes<T>::Unsigned;
  typedef T V __attribute__((vector_size(kVectorBytes)));
  typedef UnsignedLane U __attribute__((vector_size(kVectorBytes)));
  static constexpr int width = kVectorBytes / static_cast<int>(sizeof(T));
  static constexpr int per_panel = static_cast<int>(kLanes) / width;

  static RG_INLINE V set(double x) { return static_cast<T>(x) - V{}; }
  static RG_INLINE V broadcast(const T* x) { return *x - V{}; }
  static RG_INLINE V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static RG_INLINE void store(T* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
  // Half a vector from each of two places.
  static RG_INLINE V load_halves(const T* p, const T* q) { return join(p, q, typename MakeLanes<width>::type{}); }
  // Each to the first half of a whole vector, as what is loaded next is a whole one: of two stores it would wait for both.
  static RG_INLINE void store_halves(T* p, T* q, V v) {
    store(p, v);
    store(q, upper_half(v, typename MakeLanes<width>::type{}));
  }
  template <class Mask>
  static RG_INLINE V select(Mask m, V a, V b) {
#if defined(__clang__) && defined(__aarch64__)
    asm("" : "+w"(m));  // LLVM takes z < 0 ? 0 : z for a maximum, which makes +0 of -0 (its issue 93414)
#endif
    return m ? a : b;
  }
  // The lesser, and the greater, of x and a limit; NaN stays, and so does a zero beside another zero. x86 has an instruction
  // for just this, which g++ does not find.
  static RG_INLINE V at_most(V x, V limit) {
#if defined(RG_HALVES) || !defined(__SSE2__)
    return select(x > limit, limit, x);
#elif defined(__AVX512F__)  // all lanes, as in sqrt
    if constexpr (sizeof(T) == 4) return _mm512_maskz_min_ps(0xffff, limit, x);
    if constexpr (sizeof(T) == 8) return _mm512_maskz_min_pd(0xff, limit, x);
#elif defined(__AVX2__) && defined(__FMA__)
    if constexpr (sizeof(T) == 4) return _mm256_min_ps(limit, x);
    if constexpr (sizeof(T) == 8) return _mm256_min_pd(limit, x);
#else
    if constexpr (sizeof(T) == 4) return _mm_min_ps(limit, x);
    if constexpr (sizeof(T) == 8) return _mm_min_pd(limit, x);
#endif
  }
  static RG_INLINE V at_least(V x, V limit) {
#if defined(RG_HALVES) || !defined(__SSE2__)
    return select(x < limit, limit, x);
#elif defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return _mm512_maskz_max_ps(0xffff, limit, x);
    if constexpr (sizeof(T) == 8) return _mm512_maskz_max_pd(0xff, limit, x);
#elif defined(__AVX2__) && defined(__FMA__)
    if constexpr (sizeof(T) == 4) return _mm256_max_ps(limit, x);
    if constexpr (sizeof(T) == 8) return _mm256_max_pd(limit, x);
#else
    if constexpr (sizeof(T) == 4) return _mm_max_ps(limit, x);
    if constexpr (sizeof(T) == 8) return _mm_max_pd(limit, x);
#endif
  }
  static RG_INLINE U bits(V v) { return reinterpret_cast<U>(v); }
  static RG_INLINE V from_bits(U u) { return reinterpret_cast<V>(u); }

  typedef T Half __attribute__((vector_size(kVectorBytes / 2)));
  template <int... I>
  static RG_INLINE V join(const T* p, const T* q, Lanes<I...>) {
    Half a, b;
    __builtin_memcpy(&a, p, sizeof a);
    __builtin_memcpy(&b, q, sizeof b);
    return __builtin_shufflevector(a, b, I...);
  }
  template <int... I>
  static RG_INLINE V upper_half(V v, Lanes<I...>) {
    return __builtin_shufflevector(v, v, (I % (width / 2) + width / 2)...);
  }

#if defined(RG_HALVES)
  template <class H, class F>
  static RG_INLINE V in_halves(V a, V b, V c, F f) {
    H x[2], y[2], z[2];
    __builtin_memcpy(x, &a, sizeof a);
    __builtin_memcpy(y, &b, sizeof b);
    __builtin_memcpy(z, &c, sizeof c);
    const H sums[2] = {f(x[0], y[0], z[0]), f(x[1], y[1], z[1])};
    V v;
    __builtin_memcpy(&v, sums, sizeof v);
    return v;
  }
#endif

  // a * b + c, rounded once where the instruction set can.
  static RG_INLINE V fma(V a, V b, V c) {
    if constexpr (sizeof(T) == 4) {
#if defined(__AVX512F__)
      return _mm512_fmadd_ps(a, b, c);
#elif defined(RG_HALVES)
      return in_halves<__m256>(a, b, c, [](__m256 x, __m256 y, __m256 z) { return _mm256_fmadd_ps(x, y, z); });
#elif defined(__AVX2__) && defined(__FMA__)
      return _mm256_fmadd_ps(a, b, c);
#elif defined(__ARM_NEON) && defined(__aarch64__)
      return vfmaq_f32(c, a, b);
#else
      return a * b + c;
#endif
    } else {
#if defined(__AVX512F__)
      return _mm512_fmadd_pd(a, b, c);
#elif defined(RG_HALVES)
      return in_halves<__m256d>(a, b, c, [](__m256d x, __m256d y, __m256d z) { return _mm256_fmadd_pd(x, y, z); });
#elif defined(__AVX2__) && defined(__FMA__)
      return _mm256_fmadd_pd(a, b, c);
#elif defined(__ARM_NEON) && defined(__aarch64__)
      return vfmaq_f64(c, a, b);
#else
      return a * b + c;
#endif
    }
  }

  // sum = fma(a, b, sum), in place and of registers alone: for x86, g++ else folds loads into the multiply-adds or overwrites
  // an operand, and then moves and spills sums. clang does not.
  static RG_INLINE void add_product(V& sum, V a, V b) {
#if defined(RG_HALVES) || defined(__clang__) || !defined(__x86_64__) || !defined(__FMA__)
    sum = fma(a, b, sum);
#elif defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    if constexpr (sizeof(T) == 8) asm("vfmadd231pd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
    if constexpr (sizeof(T) == 4) asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    if constexpr (sizeof(T) == 8) asm("vfmadd231pd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#endif
  }

  // Rounded correctly, everywhere.
  static RG_INLINE V sqrt(V x) {
#if defined(__AVX512F__)
    // all lanes; without a mask g++ 12 warns of its own header
    if constexpr (sizeof(T) == 4) return _mm512_maskz_sqrt_ps(0xffff, x);
    if constexpr (sizeof(T) == 8) return _mm512_maskz_sqrt_pd(0xff, x);
#elif defined(RG_HALVES)
    if constexpr (sizeof(T) == 4) return in_halves<__m256>(x, x, x, [](__m256 a, __m256, __m256) { return _mm256_sqrt_ps(a); });
    if constexpr (sizeof(T) == 8)
      return in_halves<__m256d>(x, x, x, [](__m256d a, __m256d, __m256d) { return _mm256_sqrt_pd(a); });
#elif defined(__AVX2__) && defined(__FMA__)
    if constexpr (sizeof(T) == 4) return _mm256_sqrt_ps(x);
    if constexpr (sizeof(T) == 8) return _mm256_sqrt_pd(x);
#elif defined(__ARM_NEON) && defined(__aarch64__)
    if constexpr (sizeof(T) == 4) return vsqrtq_f32(x);
    if constexpr (sizeof(T) == 8) return vsqrtq_f64(x);
#elif defined(__SSE2__)
    if constexpr (sizeof(T) == 4) return _mm_sqrt_ps(x);
    if constexpr (sizeof(T) == 8) return _mm_sqrt_pd(x);
#else
    for (int i = 0; i < width; ++i) x[i] = sizeof(T) == 4 ? __builtin_sqrtf(static_cast<float>(x[i])) : __builtin_sqrt(x[i]);
    return x;
#endif
  }
};

template <class T>
using V = typename Ops<T>::V;

// The low halves of the 64-bit lanes of a times k, as 64-bit products: the multiplication of Philox.
using Wide = Ops<double>::U;
RG_INLINE Wide product_of_halves(Wide a, std::uint32_t k) {
  [[maybe_unused]] const Wide all = k - Wide{};
#if defined(__AVX512F__)
  return reinterpret_cast<Wide>(_mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(all)));
#elif defined(__AVX2__) && defined(__FMA__) && !defined(RG_HALVES)
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(all)));
#elif defined(__ARM_NEON) && defined(__aarch64__)
  return reinterpret_cast<Wide>(vmull_u32(vmovn_u64(reinterpret_cast<uint64x2_t>(a)), vdup_n_u32(k)));
#elif defined(__SSE2__) && !defined(RG_HALVES)
  return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(all)));
#else
  return (a & 0xffffffffu) * all;
#endif
}

// Vectors that hold the first `lanes` lanes of a panel's row.
template <class T>
RG_INLINE int vectors(int lanes) {
  return static_cast<int>(static_cast<unsigned>(lanes + Ops<T>::width - 1) / static_cast<unsigned>(Ops<T>::width));
}

// One round of the transpose: exchanges the blocks of S lanes off the diagonal of rows i and i + S.
template <class T, int S, int... I>
RG_INLINE void exchange(typename Ops<T>::V& a, typename Ops<T>::V& b, Lanes<I...>) {
  constexpr int W = Ops<T>::width;
  const typename Ops<T>::V low = __builtin_shufflevector(a, b, ((I & S) ? I - S + W : I)...);
  const typename Ops<T>::V high = __builtin_shufflevector(a, b, ((I & S) ? I + W : I + S)...);
  a = low;
  b = high;
}

// The last two rounds for float within each quarter register, in shuffles of one instruction each: rows are paired as
// a0 b0 a1 b1 and a2 b2 a3 b3, and pairs of those make a0 b0 c0 d0 and so on.
template <class T, int... I>
RG_INLINE void transpose_quads(typename Ops<T>::V* r, Lanes<I...>) {
  constexpr int W = Ops<T>::width;
  const typename Ops<T>::V t0 = __builtin_shufflevector(r[0], r[1], (I / 4 * 4 + I % 4 / 2 + I % 2 * W)...);
  const typename Ops<T>::V t1 = __builtin_shufflevector(r[0], r[1], (I / 4 * 4 + 2 + I % 4 / 2 + I % 2 * W)...);
  const typename Ops<T>::V t2 = __builtin_shufflevector(r[2], r[3], (I / 4 * 4 + I % 4 / 2 + I % 2 * W)...);
  const typename Ops<T>::V t3 = __builtin_shufflevector(r[2], r[3], (I / 4 * 4 + 2 + I % 4 / 2 + I % 2 * W)...);
  r[0] = __builtin_shufflevector(t0, t2, (I / 4 * 4 + I % 2 + I % 4 / 2 * W)...);
  r[1] = __builtin_shufflevector(t0, t2, (I / 4 * 4 + 2 + I % 2 + I % 4 / 2 * W)...);
  r[2] = __builtin_shufflevector(t1, t3, (I / 4 * 4 + I % 2 + I % 4 / 2 * W)...);
  r[3] = __builtin_shufflevector(t1, t3, (I / 4 * 4 + 2 + I % 2 + I % 4 / 2 * W)...);
}

// r[i][j] <-> r[j][i] over width x width lanes, in log2(width) rounds.
template <class T, int S = Ops<T>::width / 2>
RG_INLINE void transpose_square(typename Ops<T>::V (&r)[Ops<T>::width]) {
  using All = typename MakeLanes<Ops<T>::width>::type;
  if constexpr (S == 2 && sizeof(T) == 4) {
    RG_UNROLL for (int i = 0; i < Ops<T>::width; i += 4) transpose_quads<T>(r + i, All{});
  } else if constexpr (S > 0) {
    RG_UNROLL for (int i = 0; i < Ops<T>::width; ++i) {
      if (!(i & S)) exchange<T, S>(r[i], r[i + S], All{});
    }
    transpose_square<T, S / 2>(r);
  }
}

}  // namespace
}  // namespace retrograd
