// The optimisers' rules, sums of squares, and the step of an average, one number at a time.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/table.h"
#include "support/oracle/operations.h"

namespace retrograd::testing::oracle {

template <class O>
struct Updates {
  using T = typename O::T;

  // One value's step, by any rule. v is the first plane of the state.
  static void take(T gradient, Index i, T* g, T* w, T* v, const Update<T>* u) {
    if (!u) {
      g[i] = gradient;
      return;
    }
    gradient *= u->scale;
    if (gradient > u->clip) gradient = u->clip;
    if (gradient < -u->clip) gradient = -u->clip;
    w[i] *= u->shrink;
    if (u->weight_decay != 0) gradient = O::fma(u->weight_decay, w[i], gradient);
    if (u->l1 != 0) gradient += w[i] > 0 ? u->l1 : w[i] < 0 ? -u->l1 : w[i];
    w[i] = O::fma(-u->lr, change(gradient, v ? v + i : nullptr, *u), w[i]);
  }

  static T mean(T decay, T& s, T x) { return s = O::fma(decay, s, (T(1) - decay) * x); }

  static T change(T g, T* s, const Update<T>& u) {
    switch (u.rule) {
      case Rule::sgd:
        if (u.momentum == 0) return g;
        *s = O::fma(u.momentum, *s, u.keep * g);
        return u.nesterov ? O::fma(u.momentum, *s, g) : *s;
      case Rule::adam: {
        const T first = mean(u.beta1, *s, g);
        T second = mean(u.beta2, s[u.to_s1], g * g);
        if (u.to_s2) second = s[u.to_s2] = std::max(s[u.to_s2], second);
        return first / O::fma(std::sqrt(second), u.correction, u.eps);
      }
      case Rule::rmsprop: {
        T square = mean(u.beta2, *s, g * g);
        if (u.to_s2) {
          const T first = mean(u.beta2, s[u.to_s2], g);
          square = std::max(T(0), O::fma(-first, first, square));
        }
        const T d = g / (std::sqrt(square) + u.eps);
        if (u.momentum == 0) return d;
        return s[u.to_s1] = O::fma(u.momentum, s[u.to_s1], d);
      }
      case Rule::adagrad:
        *s = O::fma(g, g, *s);
        return g / (std::sqrt(*s) + u.eps);
      case Rule::lion: {
        const T mix = O::fma(u.beta1, *s, (T(1) - u.beta1) * g);
        mean(u.beta2, *s, g);
        return static_cast<T>((mix > 0) - (mix < 0));
      }
    }
    return 0;
  }

  static void update(Index count, const T* g, T* w, T* v, const Update<T>* u) {
    for (Index i = 0; i < count; ++i) take(g[i], i, nullptr, w, v, u);
  }

  static double squares(Index count, const T* g) {
    double chains[kLanes];
    for (Index l = 0; l < kLanes; ++l) {
      T sum = 0;
      for (Index i = l; i < count; i += kLanes) sum = O::fma(g[i], g[i], sum);
      chains[l] = static_cast<double>(sum);
    }
    for (Index half = kLanes / 2; half > 0; half /= 2) {
      for (Index l = 0; l < half; ++l) chains[l] += chains[l + half];
    }
    return chains[0];
  }

  static void blend(Index count, T tau, const T* b, T* a) {
    for (Index i = 0; i < count; ++i) a[i] = O::fma(tau, b[i] - a[i], a[i]);
  }
};

}  // namespace retrograd::testing::oracle
