// The optimisers' rules as passes over stored gradients, the sum of squares that clipping by norm
// needs, and the step of a running average. It is a part of kernels.cpp. The step of sgd for one vector,
// which dw also takes in its registers, is in gradients.h.
#pragma once

#include "kernels/gradients.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

// Adds -lr times step(gradient, w, i) to each vector of w, which begins i values from the first one.
template <class T, class Step>
RG_INLINE void update_each(Index count, const T* g, T* w, const Update<T>& u, Step step) {
  using O = Ops<T>;
  const Rates<T> rates(u);
  for (Index i = 0; i < count; i += O::width) {
    V<T> weight = O::load(w + i);
    const V<T> gradient = rates.prepared(O::load(g + i), weight);
    O::store(w + i, O::fma(rates.minus_lr, step(gradient, i), weight));
  }
}

// The running mean of s: decay s + (1 - decay) x.
template <class T>
struct Average {
  V<T> decay, rest;
  explicit RG_INLINE Average(T d) : decay(Ops<T>::broadcast(&d)), rest(Ops<T>::set(1) - decay) {}
  RG_INLINE V<T> operator()(T* s, V<T> x) const {
    const V<T> mean = Ops<T>::fma(decay, Ops<T>::load(s), rest * x);
    Ops<T>::store(s, mean);
    return mean;
  }
};

template <class T>
void update_adam(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const Average<T> first(u.beta1), second(u.beta2);
  const V<T> eps = O::broadcast(&u.eps), correction = O::broadcast(&u.correction);
  T* squares = s + u.to_s1;
  T* highest = u.to_s2 ? s + u.to_s2 : nullptr;
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    const V<T> mean = first(s + i, gradient);
    V<T> square = second(squares + i, gradient * gradient);
    if (highest) {
      const V<T> high = O::load(highest + i);
      square = O::select(square > high, square, high);
      O::store(highest + i, square);
    }
    return mean / O::fma(O::sqrt(square), correction, eps);
  });
}

template <class T>
void update_rmsprop(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const Average<T> average(u.beta2);
  const V<T> eps = O::broadcast(&u.eps), momentum = O::broadcast(&u.momentum);
  T* moving = u.momentum != 0 ? s + u.to_s1 : nullptr;
  T* means = u.to_s2 ? s + u.to_s2 : nullptr;
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    V<T> square = average(s + i, gradient * gradient);
    if (means) {
      const V<T> mean = average(means + i, gradient);
      square = O::fma(-mean, mean, square);
      square = O::select(square < V<T>{}, V<T>{}, square);  // rounding may leave less than 0 for a constant gradient
    }
    V<T> d = gradient / (O::sqrt(square) + eps);
    if (moving) {
      d = O::fma(momentum, O::load(moving + i), d);
      O::store(moving + i, d);
    }
    return d;
  });
}

template <class T>
void update_adagrad(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const V<T> eps = O::broadcast(&u.eps);
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    const V<T> sum = O::fma(gradient, gradient, O::load(s + i));
    O::store(s + i, sum);
    return gradient / (O::sqrt(sum) + eps);
  });
}

template <class T>
void update_lion(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const V<T> one = O::set(1), beta1 = O::broadcast(&u.beta1), rest1 = one - beta1;
  const Average<T> momentum(u.beta2);
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    const V<T> mix = O::fma(beta1, O::load(s + i), rest1 * gradient);
    momentum(s + i, gradient);
    return O::select(mix > V<T>{}, one, O::select(mix < V<T>{}, -one, mix));  // NaN stays NaN
  });
}

template <class T>
void update(Index count, const T* g, T* w, T* v, const Update<T>* u) {
  switch (u->rule) {
    case Rule::adam:
      return update_adam(count, g, w, v, *u);
    case Rule::rmsprop:
      return update_rmsprop(count, g, w, v, *u);
    case Rule::adagrad:
      return update_adagrad(count, g, w, v, *u);
    case Rule::lion:
      return update_lion(count, g, w, v, *u);
    case Rule::sgd:
      break;
  }
  with_mode(u, [=](auto mode) RG_LAMBDA {
    if constexpr (decltype(mode)::value != kStore) {  // u is then not null
      const Rates<T> rates(*u);
      const bool moves = u->momentum != 0;
      for (Index i = 0; i < count; i += Ops<T>::width) {
        update_vector<T, decltype(mode)::value>(Ops<T>::load(g + i), w + i, moves ? v + i : nullptr, rates);
      }
    }
  });
}

template <class T>
double squares(Index count, const T* g) {
  using O = Ops<T>;
  V<T> sum[O::per_panel] = {};
  for (Index i = 0; i < count; i += kLanes) {
    RG_UNROLL for (int v = 0; v < O::per_panel; ++v) {
      const V<T> x = O::load(g + i + v * O::width);
      sum[v] = O::fma(x, x, sum[v]);
    }
  }
  double chain[kLanes];
  for (int l = 0; l < kLanes; ++l) chain[l] = static_cast<double>(sum[l / O::width][l % O::width]);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) chain[l] += chain[l + half];
  }
  return chain[0];
}

template <class T>
void blend(Index count, T tau, const T* b, T* a) {
  using O = Ops<T>;
  const V<T> share = O::broadcast(&tau);
  for (Index i = 0; i < count; i += O::width) {
    const V<T> old = O::load(a + i);
    O::store(a + i, O::fma(share, O::load(b + i) - old, old));
  }
}

template <class T>
constexpr Updates<T> update_kernels() {
  Updates<T> table{};
  table.update = update<T>;
  table.squares = squares<T>;
  table.blend = blend<T>;
  return table;
}

}  // namespace
}  // namespace retrograd
