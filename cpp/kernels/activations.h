// The activations that take more than a line of arithmetic, and the derivatives that need z: the same
// operations in the same order on every vector type, with the `O` of base/elementary.h. There are no
// branches and no tables; NaN gives NaN. Which activation calls which formula is in activate.h.
//
// A function that falls to zero on the left is written as max(z, 0) minus a remainder that is
// computed from |z|, so that both sides keep their precision. |z| is held where exp(-|z|) becomes
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

// exp(-|z|)
template <class O>
inline typename O::V decay(typename O::V t) {
  return math::exp<O>(-t);
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

// gelu by tanh: z (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (z + 0.044715 z^3), which is z
// sigmoid(2u). Error below 2.5 ulp for z >= 0. For z < 0 it is up to 6 |u| ulp more, which is no
// more than the last bit of z makes.
template <class O>
inline typename O::V gelu_tanh(typename O::V z) {
  const typename O::V t = distance<O>(z, math::Constants<typename O::T>::tail_end);
  const typename O::V e = decay<O>(gelu_tanh_inner<O>(t));
  return above_zero<O>(z) - t * e / (O::set(1) + e);
}

// Its derivative: s(2u) + z s'(2u) 2u' with s = sigmoid.
template <class O>
inline typename O::V gelu_tanh_slope(typename O::V z) {
  constexpr double once = 1.5957691216057307118, thrice = 0.214064448817800747;
  const typename O::V t = distance<O>(z, math::Constants<typename O::T>::tail_end);
  const typename O::V e = decay<O>(gelu_tanh_inner<O>(t)), q = O::set(1) / (O::set(1) + e);
  const typename O::V inner = O::fma(t * t, O::set(thrice), O::set(once));
  return mirrored<O>(z, e * q * O::fma(-(t * q), inner, O::set(1)));
}

// silu: z sigmoid(z) (Elfwing, Uchibe, Doya, 2017). Error below 3.5 ulp for normal results.
template <class O>
inline typename O::V silu(typename O::V z) {
  const typename O::V t = distance<O>(z, -math::Constants<typename O::T>::exp_low), e = decay<O>(t);
  return above_zero<O>(z) - t * e / (O::set(1) + e);
}

// The derivative of silu: s(z) + z s(z) s(-z) with s = sigmoid.
template <class O>
inline typename O::V silu_slope(typename O::V z) {
  const typename O::V t = distance<O>(z, -math::Constants<typename O::T>::exp_low);
  const typename O::V e = decay<O>(t), q = O::set(1) / (O::set(1) + e);
  return mirrored<O>(z, e * q * O::fma(-t, q, O::set(1)));
}

// tanh(log(1 + exp(z))) as n / (n + r), where n and r are polynomials in e = exp(-|z|) with whole
// coefficients, and r / (n + r) is what is missing to 1.
template <class O>
struct MishParts {
  using V = typename O::V;
  V e, n, r;
  explicit MishParts(V z, V t) {
    e = decay<O>(t);
    const auto negative = z < O::set(0);
    n = O::select(negative, e * (e + O::set(2)), O::fma(O::set(2), e, O::set(1)));
    r = O::select(negative, O::set(2), O::set(2) * e * e);
  }
};

// mish: z tanh(log(1 + exp(z))) (Misra, 2019). Error below 5 ulp for normal results.
template <class O>
inline typename O::V mish(typename O::V z) {
  constexpr double low = math::Constants<typename O::T>::exp_low;
  const MishParts<O> p(z, distance<O>(z, -low));
  return O::at_least(z, O::set(low)) * (p.n / (p.n + p.r));
}

// The derivative of mish: w + z (1 - w^2) sigmoid(z) with w = mish(z) / z.
template <class O>
inline typename O::V mish_slope(typename O::V z) {
  const typename O::V t = distance<O>(z, -math::Constants<typename O::T>::exp_low);
  const MishParts<O> p(z, t);
  const typename O::V all = O::set(1) / (p.n + p.r), w = p.n * all, missing = p.r * all;
  const auto negative = z < O::set(0);
  const typename O::V s = O::select(negative, p.e, O::set(1)) / (O::set(1) + p.e);
  return O::fma(O::select(negative, -t, t) * (missing * (O::set(1) + w)), s, w);
}

// softplus: log(1 + exp(z)). Error below 2.5 ulp.
template <class O>
inline typename O::V softplus(typename O::V z) {
  return above_zero<O>(z) + math::log1p<O>(decay<O>(absolute<O>(z)));
}

// softsign: z / (1 + |z|). Error below 2 ulp; at infinity it is +-1.
template <class O>
inline typename O::V softsign(typename O::V z) {
  using C = math::Constants<typename O::T>;
  const typename O::V t = distance<O>(z, 8.0 * static_cast<double>(C::two_mantissa));
  return O::from_bits(O::bits(t / (O::set(1) + t)) | (O::bits(z) & C::sign));
}

}  // namespace retrograd::activations
