// Activations and their derivatives, one number at a time. The elementwise functions are the core's
// own; base/elementary.cpp measures their errors.
#pragma once

#include <cmath>

#include "kernels/activations.h"
#include "kernels/table.h"
#include "support/oracle/operations.h"

namespace retrograd::testing::oracle {

template <class O>
struct Activations {
  using T = typename O::T;

  static T activated(T z, Activation f) {
    switch (f) {
      case Activation::relu: {
        const volatile bool negative = z < 0;  // otherwise clang for ARM makes +0 of -0 (see select in simd.h)
        return negative ? T(0) : z;
      }
      case Activation::leaky_relu:
        return z < 0 ? z * static_cast<T>(kLeakySlope) : z;
      case Activation::tanh:
        return math::tanh<O>(z);
      case Activation::sigmoid:
        return math::sigmoid<O>(z);
      case Activation::elu:
        return z < 0 ? math::expm1<O>(z) : z;
      case Activation::selu:
        return z < 0 ? static_cast<T>(kSeluScale * kSeluAlpha) * math::expm1<O>(z) : static_cast<T>(kSeluScale) * z;
      case Activation::softplus:
        return activations::softplus<O>(z);
      case Activation::softsign:
        return activations::softsign<O>(z);
      case Activation::exponential:
        return math::exp<O>(z);
      case Activation::gelu:
        return activations::gelu<O>(z);
      case Activation::gelu_tanh:
        return activations::gelu_tanh<O>(z);
      case Activation::silu:
        return activations::silu<O>(z);
      case Activation::mish:
        return activations::mish<O>(z);
      default:
        return z;
    }
  }

  // d f'(z), from a = f(z), or from a = z where derived_from_z.
  static T derived(T d, T a, Activation f) {
    switch (f) {
      case Activation::relu:
        return a <= 0 ? T(0) : d;
      case Activation::leaky_relu:
        return a <= 0 ? d * static_cast<T>(kLeakySlope) : d;
      case Activation::tanh:
        return d * O::fma(-a, a, T(1));
      case Activation::sigmoid:
        return d * O::fma(-a, a, a);
      case Activation::elu:
        return a <= 0 ? d * (a + T(1)) : d;
      case Activation::selu:
        return d * (a <= 0 ? a + static_cast<T>(kSeluScale * kSeluAlpha) : static_cast<T>(kSeluScale));
      case Activation::softplus:
        return -d * math::expm1<O>(-a);
      case Activation::softsign:
        return d * ((T(1) - std::fabs(a)) * (T(1) - std::fabs(a)));
      case Activation::exponential:
        return d * a;
      case Activation::gelu:
        return d * activations::gelu_slope<O>(a);
      case Activation::gelu_tanh:
        return d * activations::gelu_tanh_slope<O>(a);
      case Activation::silu:
        return d * activations::silu_slope<O>(a);
      case Activation::mish:
        return d * activations::mish_slope<O>(a);
      default:
        return d;
    }
  }

  static void activate(Index units, int lanes, T* a, Activation activation) {
    for (Index lane = 0; lane < lanes; ++lane) {
      if (activation == Activation::softmax) {
        T high = a[lane], sum = 0;
        for (Index j = 1; j < units; ++j) high = a[at(j, lane)] > high ? a[at(j, lane)] : high;
        for (Index j = 0; j < units; ++j) sum += a[at(j, lane)] = math::exp<O>(a[at(j, lane)] - high);
        for (Index j = 0; j < units; ++j) a[at(j, lane)] /= sum;
      } else {
        for (Index j = 0; j < units; ++j) a[at(j, lane)] = activated(a[at(j, lane)], activation);
      }
    }
  }

  static void derive(Index units, int lanes, T* d, const T* a, Activation activation) {
    for (Index lane = 0; lane < lanes; ++lane) {
      if (activation == Activation::softmax) {
        T dot = 0;
        for (Index j = 0; j < units; ++j) dot = O::fma(d[at(j, lane)], a[at(j, lane)], dot);
        for (Index j = 0; j < units; ++j) d[at(j, lane)] = a[at(j, lane)] * (d[at(j, lane)] - dot);
      } else {
        for (Index j = 0; j < units; ++j) d[at(j, lane)] = derived(d[at(j, lane)], a[at(j, lane)], activation);
      }
    }
  }
};

}  // namespace retrograd::testing::oracle
