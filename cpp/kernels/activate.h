// Activations and their derivatives as passes over [units][16]: which formula belongs to which
// activation, softmax, and the loops over a panel that losses share. It is a part of kernels.cpp. The
// longer formulas are in activations.h.
#pragma once

#include "kernels/activations.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

// NaN passes through.
template <class T>
RG_INLINE V<T> relu(V<T> z) {
  return Ops<T>::at_least(z, V<T>{});
}

template <class T>
RG_INLINE V<T> relu_derivative(V<T> d, V<T> a) {
  return Ops<T>::select(a <= V<T>{}, V<T>{}, d);
}

template <class T>
RG_INLINE V<T> tanh_derivative(V<T> d, V<T> a, V<T> one) {
  return d * Ops<T>::fma(-a, a, one);
}

template <class T>
RG_INLINE V<T> sigmoid_derivative(V<T> d, V<T> a) {
  return d * Ops<T>::fma(-a, a, a);
}

template <class T, class F>
RG_INLINE void map_rows(Index units, int lanes, T* p, F f) {
  for (Index v = 0, end = vectors<T>(lanes) * Ops<T>::width; v < end; v += Ops<T>::width) {
    for (Index i = v; i < units * kLanes; i += kLanes) Ops<T>::store(p + i, f(Ops<T>::load(p + i), i));
  }
}

// The same for an f that does not need the place. Where half a vector holds the lanes, two units share one.
template <class T, class F>
RG_INLINE void map_values(Index units, int lanes, T* p, F f) {
  using O = Ops<T>;
  if (2 * lanes > O::width) return map_rows(units, lanes, p, [f](V<T> x, Index) RG_LAMBDA { return f(x); });
  for (; units >= 2; units -= 2, p += 2 * kLanes) O::store_halves(p, p + kLanes, f(O::load_halves(p, p + kLanes)));
  if (units > 0) O::store(p, f(O::load(p)));
}

// Softmax over units, one vector of lanes at a time: z -> exp(z - max z) / sum.
template <class T>
void softmax(Index units, int lanes, T* a) {
  using O = Ops<T>;
  for (int v = 0; v < vectors<T>(lanes); ++v) {
    T* p = a + v * O::width;
    V<T> high = O::load(p), sum{};
    for (Index j = 1; j < units; ++j) {
      high = O::at_least(high, O::load(p + j * kLanes));
    }
    for (Index j = 0; j < units; ++j) {
      const V<T> e = math::exp<O>(O::load(p + j * kLanes) - high);
      sum += e;
      O::store(p + j * kLanes, e);
    }
    for (Index j = 0; j < units; ++j) O::store(p + j * kLanes, O::load(p + j * kLanes) / sum);
  }
}

template <class T>
void activate(Index units, int lanes, T* a, Activation activation) {
  using O = Ops<T>;
  switch (activation) {
    case Activation::identity:
      break;
    case Activation::relu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return relu<T>(z); });
      break;
    case Activation::leaky_relu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return O::select(z < V<T>{}, z * O::set(kLeakySlope), z); });
      break;
    case Activation::tanh:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return math::tanh<O>(z); });
      break;
    case Activation::sigmoid:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return math::sigmoid<O>(z); });
      break;
    case Activation::softmax:
      softmax(units, lanes, a);
      break;
    case Activation::elu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return O::select(z < V<T>{}, math::expm1<O>(z), z); });
      break;
    case Activation::selu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA {
        const V<T> below = O::set(kSeluScale * kSeluAlpha) * math::expm1<O>(z);
        return O::select(z < V<T>{}, below, O::set(kSeluScale) * z);
      });
      break;
    case Activation::softplus:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::softplus<O>(z); });
      break;
    case Activation::softsign:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::softsign<O>(z); });
      break;
    case Activation::exponential:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return math::exp<O>(z); });
      break;
    case Activation::gelu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::gelu<O>(z); });
      break;
    case Activation::gelu_tanh:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::gelu_tanh<O>(z); });
      break;
    case Activation::silu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::silu<O>(z); });
      break;
    case Activation::mish:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::mish<O>(z); });
      break;
  }
}

// The derivative of softmax: d_j <- a_j (d_j - sum_i d_i a_i).
template <class T>
void softmax_derivative(Index units, int lanes, T* d, const T* a) {
  using O = Ops<T>;
  for (int v = 0; v < vectors<T>(lanes); ++v) {
    const Index o = v * O::width;
    V<T> dot{};
    for (Index j = 0; j < units; ++j) dot = O::fma(O::load(d + j * kLanes + o), O::load(a + j * kLanes + o), dot);
    for (Index j = 0; j < units; ++j) {
      O::store(d + j * kLanes + o, O::load(a + j * kLanes + o) * (O::load(d + j * kLanes + o) - dot));
    }
  }
}

template <class T>
void derive(Index units, int lanes, T* d, const T* a, Activation activation) {
  using O = Ops<T>;
  const auto each = [&](auto f) RG_LAMBDA {
    map_rows(units, lanes, d, [&](V<T> g, Index i) RG_LAMBDA { return f(g, O::load(a + i)); });
  };
  switch (activation) {
    case Activation::identity:
      break;
    case Activation::relu:
      each([](V<T> g, V<T> y) RG_LAMBDA { return relu_derivative<T>(g, y); });
      break;
    case Activation::leaky_relu:
      each([](V<T> g, V<T> y) RG_LAMBDA { return O::select(y <= V<T>{}, g * O::set(kLeakySlope), g); });
      break;
    case Activation::tanh:
      each([](V<T> g, V<T> y) RG_LAMBDA { return tanh_derivative<T>(g, y, O::set(1)); });
      break;
    case Activation::sigmoid:
      each([](V<T> g, V<T> y) RG_LAMBDA { return sigmoid_derivative<T>(g, y); });
      break;
    case Activation::softmax:
      softmax_derivative(units, lanes, d, a);
      break;
    case Activation::elu:
      each([](V<T> g, V<T> y) RG_LAMBDA { return O::select(y <= V<T>{}, g * (y + O::set(1)), g); });
      break;
    case Activation::selu:
      each([](V<T> g, V<T> y)
               RG_LAMBDA { return g * O::select(y <= V<T>{}, y + O::set(kSeluScale * kSeluAlpha), O::set(kSeluScale)); });
      break;
    case Activation::softplus:
      each([](V<T> g, V<T> y) RG_LAMBDA { return -g * math::expm1<O>(-y); });
      break;
    case Activation::softsign:
      each([](V<T> g, V<T> y) RG_LAMBDA {
        const V<T> rest = O::set(1) - activations::absolute<O>(y);
        return g * (rest * rest);
      });
      break;
    case Activation::exponential:
      each([](V<T> g, V<T> y) RG_LAMBDA { return g * y; });
      break;
    case Activation::gelu:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::gelu_slope<O>(z); });
      break;
    case Activation::gelu_tanh:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::gelu_tanh_slope<O>(z); });
      break;
    case Activation::silu:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::silu_slope<O>(z); });
      break;
    case Activation::mish:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::mish_slope<O>(z); });
      break;
  }
}

// What the derivative of a layer's activation is computed from.
template <class T>
RG_INLINE const T* derived_from(Activation f, const T* a, const T* z) {
  return derived_from_z(f) ? z : a;
}

template <class T>
constexpr Activations<T> activation_kernels() {
  Activations<T> table{};
  table.activate = activate<T>;
  table.derive = derive<T>;
  return table;
}

}  // namespace
}  // namespace retrograd
