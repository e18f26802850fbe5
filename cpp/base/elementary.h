// exp, expm1, log, log1p, tanh, sigmoid, sin and cos, and the tail of the normal distribution (erfc),
// in the same operations in the same order on every vector type. Activations that are built from them
// are in kernels/activations.h.
//
// `O` names the operations on one vector type (kernels/simd.h) or on one number (base/scalar.h): V, U
// (unsigned lanes of the same size), T (one lane), set, fma, select, at_most and at_least (x or a limit;
// NaN stays), bits, from_bits, and for normal_pair sqrt. There are no tables, no branches and no errno; no flags are read or
// set. NaN gives NaN. Each function states its error in units in the last place, as tests/cpp/base/elementary.cpp measures it
// with fused multiply-add. Method: Cody and Waite's reduction to |r| <= log(2)/2, then a polynomial (the coefficients are a
// Chebyshev fit of our own). Every polynomial is unrolled whole: else its array of coefficients would be a symbol of each
// kernel object.
#pragma once

#include "base/panel.h"

namespace retrograd::math {

template <class T>
struct Constants;

template <>
struct Constants<float> {
  static constexpr int mantissa = 23;
  static constexpr std::uint32_t bias = 127, sign = 0x80000000u, sqrt_half = 0x3f3504f3u, mask = 0x007fffffu;
  static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  static constexpr float two_mantissa = 8388608.0f;
  static constexpr float log2e = 1.44269504f;
  static constexpr float ln2 = 0.69314718056f;
  static constexpr float ln2_hi = 0.693359375f, ln2_lo = -2.12194440e-4f;  // n * ln2_hi is exact
  static constexpr float smallest = 0x1p-126f;                             // the smallest normal number
  static constexpr float exp_low = -104.0f, exp_high = 89.0f, expm1_high = 20.0f, tanh_high = 10.0f;
  static constexpr float logistic_low = -104.7f, logistic_high = 70.0f;  // below, e is 0; above, 2^24 e were infinite
  // (exp(r) - 1 - r) / r^2, highest power first; error of exp 8e-9
  static constexpr float expm1[] = {1.3926183587713494e-3f, 8.3631790527225774e-3f, 4.1666554617204574e-2f,
                                    1.6666576986987758e-1f, 0.5f};
  // (tanh(h) / h - 1) / h^2 for |h| <= log(2)/4, highest power first; error of tanh 6e-8
  static constexpr double tanh[] = {0.130966291, -0.333309233};
  static constexpr int log_terms = 5;
  // From tail_end on, exp(-t^2/2) is 0. With w = 1 / (t + tail_place) and x = w tail_scale + tail_shift
  // in [-1, 1], the polynomial is the tail of the normal distribution beyond t, divided by w
  // exp(-t^2/2); highest power first; relative error 1.3e-8.
  static constexpr float tail_end = 14.5f, tail_place = 4.0f, tail_scale = 10.206896781921387f,
                         tail_shift = -1.5517241954803467f;
  static constexpr float tail[] = {
      1.3728153135161847e-05f, 6.18273188592866e-05f, -0.00018631985585670918f, -0.001284208265133202f, 0.0004613022902049124f,
      0.024739520624279976f,   0.11626061052083969f,  0.3229457139968872f,      0.6301466226577759f,    0.9068412184715271f};
};

template <>
struct Constants<double> {
  static constexpr int mantissa = 52;
  static constexpr std::uint64_t bias = 1023, sign = 0x8000000000000000ull, sqrt_half = 0x3fe6a09e667f3bcdull,
                                 mask = 0x000fffffffffffffull;
  static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double two_mantissa = 4503599627370496.0;
  static constexpr double log2e = 1.4426950408889634074;
  static constexpr double ln2_hi = 0x1.62e42fefa0000p-1, ln2_lo = 0x1.cf79abc9e3b3ap-40;  // n * ln2_hi is exact
  static constexpr double smallest = 0x1p-1022;
  static constexpr double exp_low = -746.0, exp_high = 710.0, expm1_high = 40.0, tanh_high = 20.0;
  static constexpr double logistic_low = -745.9, logistic_high = 670.0;
  // error of exp 1.3e-17
  static constexpr double expm1[] = {2.5100385495510319078e-8, 2.7620088445409748161e-7,
                                     2.7557268459997064772e-6, 2.4801521295954375131e-5,
                                     1.9841269863053616878e-4, 1.3888888917213716901e-3,
                                     8.3333333333300618325e-3, 4.1666666666624127873e-2,
                                     1.6666666666666667453e-1, 0.5};
  // error of tanh 4e-18
  static constexpr double tanh[] = {3.44483782199595e-3,   -8.857308771447324e-3, 2.186937071471181e-2,
                                    -5.396825278201483e-2, 1.333333333278375e-1,  -3.333333333333249e-1};
  static constexpr int log_terms = 11;
  // relative error 1.2e-17
  static constexpr double tail_end = 39, tail_place = 5, tail_scale = 11.282051282051283, tail_shift = -1.2564102564102564;
  static constexpr double tail[] = {
      -1.1174902448524927e-11, -1.7072062654826665e-10, 2.6929843110446694e-10, 2.1848479423934544e-09, -3.494638952805129e-09,
      -1.873121333024287e-08,  3.482267252611739e-08,   1.6031054074539774e-07, -2.951248365230187e-07, -1.5842601960380958e-06,
      1.8564801540633821e-06,  1.7809850904071174e-05,  4.471113104623648e-06,  -0.0001932275656909336, -0.0005243514710366586,
      0.0008627486200349753,   0.011065377990222955,    0.04597293297553261,    0.12867006513544008,    0.27721847210375605,
      0.4839898957497963,      0.7012260086643661,      0.8516896445588364};
};

// Writes n, which is times x / log(2) rounded to a whole number, and gives a number whose last bits are n + offset.
template <class O>
inline typename O::U nearest_power(typename O::V x, double times, double offset, typename O::V& n) {
  using C = Constants<typename O::T>;
  const typename O::V from = O::set(static_cast<double>(C::magic) + offset), k = O::fma(x, O::set(times * C::log2e), from);
  n = k - from;
  return O::bits(k);
}

// exp(r) - 1 for x = n log(2) + r.
template <class O>
inline typename O::V reduced_expm1(typename O::V x, typename O::V n) {
  using C = Constants<typename O::T>;
  typename O::V r = O::fma(n, O::set(-C::ln2_hi), x);
  r = O::fma(n, O::set(-C::ln2_lo), r);
  typename O::V q = O::set(C::expm1[0]);
#pragma GCC unroll 32
  for (int i = 1; i < static_cast<int>(sizeof(C::expm1) / sizeof(C::expm1[0])); ++i) q = O::fma(q, r, O::set(C::expm1[i]));
  return O::fma(r * r, q, r);
}

// exp(x). The error is below 1.1 ulp (float), 1.2 ulp (double); subnormal results may be off by half
// their spacing more. Overflow gives infinity.
template <class O>
inline typename O::V exp(typename O::V x) {
  using C = Constants<typename O::T>;
  x = O::at_least(O::at_most(x, O::set(C::exp_high)), O::set(C::exp_low));
  typename O::V n;
  const typename O::U k = nearest_power<O>(x, 1, 2.0 * C::bias, n), half = k >> 1;
  const typename O::V p = reduced_expm1<O>(x, n);
  // The scale, 2^n, is applied in two factors, so that the largest and the subnormal results are reached.
  const typename O::V s = O::from_bits(half << C::mantissa);
  return O::fma(p, s, s) * O::from_bits((k - half) << C::mantissa);
}

// exp(x) - 1 for x <= 0. Error below 1.5 ulp; for -0 the result is +0.
template <class O>
inline typename O::V expm1(typename O::V x) {
  using C = Constants<typename O::T>;
  x = O::at_least(x, O::set(-C::expm1_high));
  typename O::V n;
  const typename O::V s = O::from_bits((nearest_power<O>(x, 1, 0, n) + C::bias) << C::mantissa);
  return O::fma(reduced_expm1<O>(x, n), s, s - O::set(1));
}

// exp(Times x) as e (1 + u) / (1 - u), where e is 2^n, which is written times 2^Up, and u = tanh(h) with Times x = n log(2)
// + 2h. So a quotient that holds exp needs no polynomial but the short one of u. u is odd, and -0 where x is (Times = 2).
template <class O, int Times, int Up>
inline typename O::V exp_parts(typename O::V x, typename O::V& e) {
  using C = Constants<typename O::T>;
  // h = part r. The polynomial takes r, and its coefficients are scaled instead, by powers of two.
  constexpr double part = Times / 2.0;
  typename O::V n;
  e = O::from_bits(nearest_power<O>(x, Times, static_cast<double>(C::bias) + Up, n) << C::mantissa);
  typename O::V r;
  if constexpr (Times == 2 && C::mantissa < 24) {  // tanh: one step is enough, as its slope falls faster than n grows
    r = O::fma(n, O::set(-C::ln2 / Times), x);
  } else {
    r = O::fma(n, O::set(-C::ln2_lo / Times), O::fma(n, O::set(-C::ln2_hi / Times), x));
  }
  const typename O::V square = r * r;
  constexpr int terms = static_cast<int>(sizeof(C::tanh) / sizeof(C::tanh[0]));
  double scale = part;
  for (int i = 0; i < terms; ++i) scale *= part * part;
  typename O::V q = O::set(scale * C::tanh[0]);
#pragma GCC unroll 32
  for (int i = 1; i < terms; ++i) {
    scale /= part * part;
    q = O::fma(q, square, O::set(scale * C::tanh[i]));
  }
  return r * O::fma(q, square, O::set(part));
}

// tanh(x). Error below 2.5 ulp. It is odd, tanh(-x) = -tanh(x) to the last bit, because e, 1/e and u, -u
// give the same quotient, and never above 1.
template <class O>
inline typename O::V tanh(typename O::V x) {
  using C = Constants<typename O::T>;
  x = O::at_least(O::at_most(x, O::set(C::tanh_high)), O::set(-C::tanh_high));
  typename O::V e;
  const typename O::V u = exp_parts<O, 2, 0>(x, e), sum = e + O::set(1), missing = O::set(1) - e;
  return O::fma(u, sum, -missing) / O::fma(-u, missing, sum);
}

// 1 / (1 + exp(-x)) is above / all, and 1 / (1 + exp(x)) is below / all.
template <class O>
struct Logistic {
  using V = typename O::V;
  using C = Constants<typename O::T>;
  V above, below, all;
  explicit Logistic(V x) {
    constexpr int up = C::mantissa + 1;  // e is a normal number where the quotient is subnormal
    V e;
    x = O::at_least(O::at_most(x, O::set(C::logistic_high)), O::set(C::logistic_low));
    const V u = exp_parts<O, 1, up>(x, e), one = O::set(2 * C::two_mantissa);
    above = O::fma(u, e, e);
    below = O::fma(-u, one, one);
    all = above + below;  // what rounding did to the larger part is then lost in the quotient
  }
};

// 1 / (1 + exp(-x)). Error below 2.5 ulp; a subnormal result may be off by 1.5 times its spacing.
template <class O>
inline typename O::V sigmoid(typename O::V x) {
  const Logistic<O> parts(x);
  return parts.above / parts.all;
}

// Natural logarithm of a positive normal number; infinity gives NaN. Error below 1.0 ulp.
// log(m) = f - (f^2/2 - s (f^2/2 + R)), s = f / (2 + f), R = s^2 (2/3 + 2/5 s^2 + 2/7 s^4 + ...): the series of atanh.
template <class O>
inline typename O::V log(typename O::V x) {
  using C = Constants<typename O::T>;
  const typename O::U u = O::bits(x) + ((C::bias << C::mantissa) - C::sqrt_half);
  const typename O::V e = O::from_bits((u >> C::mantissa) + O::bits(O::set(C::two_mantissa))) -
                          O::set(C::two_mantissa + static_cast<typename O::T>(C::bias));
  const typename O::V f = O::from_bits((u & C::mask) + C::sqrt_half) - O::set(1);
  const typename O::V s = f / (O::set(2) + f), w = s * s;
  typename O::V r = O::set(2.0 / (2 * C::log_terms + 1));
#pragma GCC unroll 32
  for (int i = C::log_terms - 1; i >= 1; --i) r = O::fma(r, w, O::set(2.0 / (2 * i + 1)));
  const typename O::V h = O::set(0.5) * f * f;
  const typename O::V t = O::fma(s, O::fma(r, w, h), e * O::set(C::ln2_lo));
  return (O::fma(e, O::set(C::ln2_hi), f - (h - t)) + (x - x));  // x - x carries NaN on
}

// log(1 + x) for x >= 0: what rounding 1 + x lost is added back. Error below 2.0 ulp for x <= 1.
template <class O>
inline typename O::V log1p(typename O::V x) {
  const typename O::V u = O::set(1) + x;
  return log<O>(u) + (x - (u - O::set(1))) / u;
}

// exp(-t^2/2). Error below 2.0 ulp with fused multiply-add, which recovers what rounding t^2 lost;
// without it, t^2/2 ulp more.
template <class O>
inline typename O::V bell(typename O::V t) {
  const typename O::V square = t * t, lost = O::fma(t, t, -square);
  const typename O::V e = exp<O>(O::set(-0.5) * square);
  return O::fma(e * O::set(-0.5), lost, e);
}

// The tail of the normal distribution beyond t, erfc(t / sqrt(2)) / 2, divided by exp(-t^2/2), for 0 <=
// t <= tail_end. Error below 7 ulp (float), 11 ulp (double). It is a polynomial in 1 / (t + c), because
// the quotient falls like 1/t.
template <class O>
inline typename O::V tail_ratio(typename O::V t) {
  using C = Constants<typename O::T>;
  const typename O::V w = O::set(1) / (t + O::set(C::tail_place)), x = O::fma(w, O::set(C::tail_scale), O::set(C::tail_shift));
  typename O::V q = O::set(C::tail[0]);
#pragma GCC unroll 32
  for (int i = 1; i < static_cast<int>(sizeof(C::tail) / sizeof(C::tail[0])); ++i) q = O::fma(q, x, O::set(C::tail[i]));
  return q * w;
}

// sin and cos of t pi/2 for |t| <= 1/2, by their series. Error below 1.5 ulp of the larger of
// the two (float and double).
template <class O>
inline void sin_cos(typename O::V t, typename O::V& sin, typename O::V& cos) {
  constexpr int terms = sizeof(typename O::T) == 4 ? 5 : 9;
  const typename O::V x = t * O::set(1.5707963267948966192), y = x * x, one = O::set(1);
  typename O::V s = O::set(0), c = O::set(0);
#pragma GCC unroll 32
  for (int i = terms - 1; i >= 1; --i) {  // from one power to the next by -y / (2i (2i + 1)) and -y / ((2i - 1) 2i)
    s = (s + one) * (y * O::set(-1.0 / (2 * i * (2 * i + 1))));
    c = (c + one) * (y * O::set(-1.0 / ((2 * i - 1) * 2 * i)));
  }
  sin = O::fma(x, s, x);
  cos = c + one;
}

// Two standard normal numbers from two 32-bit words (in lanes of U), by Box and Muller, "A note on the
// generation of random normal deviates", Ann. Math. Statist. 29 (1958). The radius comes from the upper
// 23 bits of `a` (double: all 32), the angle from b.
template <class O>
inline void normal_pair(typename O::U a, typename O::U b, typename O::V& x, typename O::V& y) {
  using C = Constants<typename O::T>;
  constexpr int bits = C::mantissa < 32 ? C::mantissa : 32;
  constexpr auto one = C::bias << C::mantissa;
  // u is (k + 1/2) / 2^bits; the angle is taken within its quarter of the circle, from -1/2 to 1/2.
  const typename O::V u = O::from_bits((a >> (32 - bits) << (C::mantissa - bits)) | one) - O::set(1.0 - 0.5 / (1ull << bits));
  typename O::U fraction = b & 0x3fffffffu;
  if constexpr (C::mantissa < 30) {
    fraction = fraction >> (30 - C::mantissa);
  } else {
    fraction = fraction << (C::mantissa - 30);
  }
  typename O::V s, c;
  sin_cos<O>(O::from_bits(fraction | one) - O::set(1.5), s, c);
  const typename O::U quarter = b >> 30, sign_x = ((quarter + 1u) & 2u) << (sizeof(typename O::T) * 8 - 2),
                      sign_y = (quarter & 2u) << (sizeof(typename O::T) * 8 - 2);
  const auto turned = (quarter & 1u) != 0u;
  const typename O::V radius = O::sqrt(O::set(-2) * log<O>(u));
  x = radius * O::from_bits(O::bits(O::select(turned, s, c)) ^ sign_x);
  y = radius * O::from_bits(O::bits(O::select(turned, c, s)) ^ sign_y);
}

}  // namespace retrograd::math
