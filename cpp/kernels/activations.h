// The activations that take more than a line of arithmetic, and the derivatives that need z: the same
// operations in the same order on every vector type, with the `O` of base/elementary.h. There are no
// branches and no tables; NaN gives NaN. Which activation calls which formula is in activate.h.
//
// A function that falls to zero on the left is z times a factor that keeps its precision there, or max(z, 0)
// minus a remainder that is computed from |z|. z is held where the factor or the remainder has become
// zero, so that infinity times zero never happens. The errors are those that
// tests/cpp/base/elementary.cpp measures with fused multiply-add.
#pragma once

#include "base/elementary.h"

namespace retrograd::activations {

template <class O>
inline typename O::V absolute(typename O::V x) {
  return O::from_bits(O::bits(x) & ~math::Constants<typename O::T>::sign);
}

// min(|z|, limit); NaN stays NaN.
template <class O>
inline typename O::V distance(typename O::V z, double limit) {
  return O::at_most(absolute<O>(z), O::set(limit));
}

template <class O>
inline typename O::V above_zero(typename O::V z) {
  return O::at_least(z, O::set(0));
}

// s where z < 0, else 1 - s: the derivative of z F(z) has this symmetry where F(z) + F(-z) = 1.
template <class O>
inline typename O::V mirrored(typename O::V z, typename O::V s) {
  return O::select(z < O::set(0), s, O::set(1) - s);
}

// gelu: z N(z) with N the normal distribution, erfc(-z / sqrt(2)) / 2 (Hendrycks, Gimpel, 2016). Error
// below 8 ulp (float), 11 ulp (double).
template <class O>
inline typename O::V gelu(typename O::V z) {
  const typename O::V t = distance<O>(z, math::Constants<typename O::T>::tail_end);
  return above_zero<O>(z) - t * math::tail_ratio<O>(t) * math::bell<O>(t);
}

// The derivative of gelu: N(z) + z N'(z).
template <class O>
inline typename O::V gelu_slope(typename O::V z) {
  constexpr double density = 0.39894228040143267794;  // 1 / sqrt(2 pi)
  const typename O::V t = distance<O>(z, math::Constants<typename O::T>::tail_end);
  return mirrored<O>(z, math::bell<O>(t) * O::fma(O::set(-density), t, math::tail_ratio<O>(t)));
}

// 2 sqrt(2 / pi) (t + 0.044715 t^3)
template <class O>
inline typename O::V gelu_tanh_inner(typename O::V t) {
  constexpr double once = 1.5957691216057307118, thrice = 0.071354816272600249;
  return t * O::fma(t * t, O::set(thrice), O::set(once));
}

// z within [-limit, limit]; NaN stays.
template <class O>
inline typename O::V within(typename O::V z, double limit) {
  return O::at_least(O::at_most(z, O::set(limit)), O::set(-limit));
}

// gelu by tanh: z (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (z + 0.044715 z^3), which is z
// sigmoid(2u). Error below 3 ulp for z >= 0. For z < 0 it is up to 6 |u| ulp more, which is no
// more than the last bit of z makes.
template <class O>
inline typename O::V gelu_tanh(typename O::V z) {
  constexpr double end = math::Constants<typename O::T>::tail_end;
  return O::at_least(z, O::set(-end)) * math::sigmoid<O>(gelu_tanh_inner<O>(within<O>(z, end)));
}

// Its derivative: s(2u) + z s'(2u) 2u' with s = sigmoid.
template <class O>
inline typename O::V gelu_tanh_slope(typename O::V z) {
  constexpr double once = 1.5957691216057307118, thrice = 0.214064448817800747;
  z = within<O>(z, math::Constants<typename O::T>::tail_end);
  const math::Logistic<O> s(gelu_tanh_inner<O>(z));
  const typename O::V q = O::set(1) / s.all, above = s.above * q, below = s.below * q;
  return O::fma(z * above * below, O::fma(z * z, O::set(thrice), O::set(once)), above);
}

// silu: z sigmoid(z) (Elfwing, Uchibe, Doya, 2017). Error below 3.5 ulp where sigmoid(z) is normal.
template <class O>
inline typename O::V silu(typename O::V z) {
  return O::at_least(z, O::set(math::Constants<typename O::T>::logistic_low)) * math::sigmoid<O>(z);
}

// The derivative of silu: s(z) + z s(z) s(-z) with s = sigmoid.
template <class O>
inline typename O::V silu_slope(typename O::V z) {
  using C = math::Constants<typename O::T>;
  z = O::at_least(O::at_most(z, O::set(C::logistic_high)), O::set(C::logistic_low));
  const math::Logistic<O> s(z);
  const typename O::V q = O::set(1) / s.all, above = s.above * q;
  return O::fma(z * above, s.below * q, above);
}

// tanh(log(1 + exp(z))) as n / (n + r), where r / (n + r) is what is missing to 1: with e = exp(z), n = e^2 + 2e
// and r = 2, both times the square of a number that keeps them in range. z is held within where it matters.
template <class O>
struct MishParts {
  using V = typename O::V;
  using C = math::Constants<typename O::T>;
  V z;
  math::Logistic<O> s;
  V n, r;
  explicit MishParts(V z_)
      : z(O::at_least(O::at_most(z_, O::set(C::expm1_high)), O::set(C::logistic_low))),
        s(z),
        n(s.above * (s.above + (s.below + s.below))),
        r((s.below + s.below) * s.below) {}
};

// mish: z tanh(log(1 + exp(z))) (Misra, 2019). Error below 5 ulp where exp(z) is normal.
template <class O>
inline typename O::V mish(typename O::V z) {
  const MishParts<O> p(z);
  return O::at_least(z, O::set(math::Constants<typename O::T>::logistic_low)) * (p.n / (p.n + p.r));
}

// The derivative of mish: w + z (1 - w^2) sigmoid(z) with w = mish(z) / z.
template <class O>
inline typename O::V mish_slope(typename O::V z) {
  const MishParts<O> p(z);
  const typename O::V all = O::set(1) / (p.n + p.r), w = p.n * all, missing = p.r * all;
  return O::fma(p.z * (missing * (O::set(1) + w)), p.s.above / p.s.all, w);
}

// softplus: log(1 + exp(z)). Error below 2.5 ulp.
template <class O>
inline typename O::V softplus(typename O::V z) {
  return above_zero<O>(z) + math::log1p<O>(math::exp<O>(-absolute<O>(z)));
}

// softsign: z / (1 + |z|). Error below 2 ulp; at infinity it is +-1.
template <class O>
inline typename O::V softsign(typename O::V z) {
  using C = math::Constants<typename O::T>;
  const typename O::V t = distance<O>(z, 8.0 * static_cast<double>(C::two_mantissa));
  return O::from_bits(O::bits(t / (O::set(1) + t)) | (O::bits(z) & C::sign));
}

}  // namespace retrograd::activations
