// Every kernel of kernels.h once more: one number at a time, as its contract says it, with no thought of speed. A table of
// the same struct, so that a test makes the same call twice and compares. Not an implementation to run anything with.
//
// Only what a contract promises is written: the first `lanes` lanes of the named rows, of one panel at a time (group = 1).
// Written from the comments of kernels.h; the elementwise functions are those of math.h
// and activations.h, whose errors test_math.cpp measures.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/activations.h"
#include "kernels/dispatch.h"
#include "base/random.h"
#include "base/scalar.h"

namespace retrograd::testing {

// The operations of a table without fused multiply-add: rounded twice.
template <class T>
struct Unfused : Scalar<T> {
  static T fma(T a, T b, T c) {
    const T product = a * b;
    return product + c;
  }
};

template <class O>
struct Oracle {
  using T = typename O::T;

  static Index at(Index row, Index lane) { return row * kLanes + lane; }

  static T activated(T z, Activation f) {
    switch (f) {
      case Activation::relu: {
        const volatile bool negative = z < 0;  // else clang for ARM makes +0 of -0 (see select in simd.h)
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

  static void forward(Index k, Index units, int lanes, const T* w, Panels<const T> x_, const T* bias, Panels<T> a_,
                      Panels<T> z_, bool last, Activation activation) {
    const T* x = x_.data;
    T *a = a_.data, *z = z_.data;
    for (Index r = 0; r < units; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = bias ? bias[r] : a[at(r, lane)];
        for (Index i = 0; i < k; ++i) sum = O::fma(w[at(i, r)], x[at(i, lane)], sum);
        if (last && z) z[at(r, lane)] = sum;
        a[at(r, lane)] = last ? activated(sum, activation) : sum;
      }
    }
  }

  static void forward_rows(Index k, Index rows, int lanes, const T* const* x, Index offset, Panels<const T> w_, const T* bias,
                           Panels<T> z_) {
    const T* w = w_.data;
    T* z = z_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = bias ? bias[lane] : z[at(r, lane)];
        for (Index i = 0; i < k; ++i) sum = O::fma(x[r][offset + i], w[at(i, lane)], sum);
        z[at(r, lane)] = sum;
      }
    }
  }

  static void delta(Index rows, Index n, int lanes, Panels<const T> w, Panels<const T> d_, Panels<T> out_, Panels<const T> a_,
                    bool first, bool last, Activation activation) {
    const T *d = d_.data, *a = a_.data;
    T* out = out_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = first ? T(0) : out[at(r, lane)];
        for (Index i = 0; i < n; ++i) sum = O::fma(w.row(i / kLanes, r)[i % kLanes], d[at(i, lane)], sum);
        const bool derive_it = last && activation != Activation::identity;
        out[at(r, lane)] = derive_it ? derived(sum, a[at(r, lane)], activation) : sum;
      }
    }
  }

  static void delta_rows(Index units, Index rows, int lanes, const T* w, const T* const* d, Index offset, T* out, Index stride) {
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < units; ++k) {
        for (Index n = 0; n < lanes; ++n) {
          out[r * stride + k] = O::fma(d[r][offset + n], w[at(k, n)], out[r * stride + k]);
        }
      }
    }
  }

  // One value's step, of any rule; v: the first plane of the state.
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
        T second = mean(u.beta2, s[u.second], g * g);
        if (u.third) second = s[u.third] = std::max(s[u.third], second);
        return first / O::fma(std::sqrt(second), u.correction, u.eps);
      }
      case Rule::rmsprop: {
        T square = mean(u.beta2, *s, g * g);
        if (u.third) {
          const T first = mean(u.beta2, s[u.third], g);
          square = std::max(T(0), O::fma(-first, first, square));
        }
        const T d = g / (std::sqrt(square) + u.eps);
        if (u.momentum == 0) return d;
        return s[u.second] = O::fma(u.momentum, s[u.second], d);
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

  static void dw(Index rows, Index m, int lanes, Panels<const T> a, Panels<const T> d_, Panels<T> g, bool first, bool last,
                 Panels<T> w, Panels<T> v, const Update<T>* update) {
    const T* d = d_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = first ? T(0) : g.data[at(r, lane)];
        for (Index i = 0; i < m; ++i) sum = O::fma(a.row(i / kLanes, r)[i % kLanes], d[at(i, lane)], sum);
        take(sum, at(r, lane), g.data, w.data, v.data, last ? update : nullptr);
      }
    }
  }

  static void dw_rows(Index rows, Index m, int lanes, const T* const* x, Index offset, Panels<const T> d_, Panels<T> g,
                      Panels<T> w, Panels<T> v, const Update<T>* update) {
    const T* d = d_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = 0;
        for (Index i = 0; i < m; ++i) sum = O::fma(x[i][offset + r], d[at(i, lane)], sum);
        take(sum, at(r, lane), g.data, w.data, v.data, update);
      }
    }
  }

  static void db(Index m, const T* d, T* g, T* w, T* v, const Update<T>* update) {
    for (Index lane = 0; lane < kLanes; ++lane) {
      T chain[4] = {};
      for (Index i = 0; i < m; ++i) chain[i % 4] += d[at(i, lane)];
      take((chain[0] + chain[1]) + (chain[2] + chain[3]), lane, g, w, v, update);
    }
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

  static void transpose(Index rows, Index lanes, const T* src, T* dst) {
    for (Index i = 0; i < lanes; ++i) {
      for (Index r = 0; r < kLanes; ++r) dst[at(i, r)] = r < rows ? src[at(r, i)] : T(0);
    }
  }

  template <class S>
  static T converted(const void* x, Index i) {
    return static_cast<T>(static_cast<const S*>(x)[i]);
  }

  template <class S>
  static void gather(Index cols, int lanes, const void* const* x, T* out) {
    for (Index k = 0; k < cols; ++k) {
      for (Index lane = 0; lane < lanes; ++lane) out[at(k, lane)] = converted<S>(x[lane], k);
    }
  }

  template <class S>
  static void convert(Index cols, const void* x, T* out) {
    for (Index k = 0; k < cols; ++k) out[k] = converted<S>(x, k);
  }

  template <class S>
  static bool finite(Index count, const void* x) {
    bool all = true;
    for (Index i = 0; i < count; ++i) all = all && std::isfinite(converted<S>(x, i));
    return all;
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

  static std::uint32_t number(const Draw& draw, Index unit, Index row) {
    const std::uint64_t block = static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(unit / 4);
    return philox(draw.seed, static_cast<Stream>(draw.stream), draw.step, block).word[unit % 4];
  }

  static void drop(Index units, int lanes, const Draw& draw, Index unit, Index row, std::uint32_t threshold, T scale,
                   const T* from, T* to) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        to[at(u, i)] = number(draw, unit + u, row + i) < threshold ? T(0) : from[at(u, i)] * scale;
      }
    }
  }

  static void add_noise(Index units, int lanes, const Draw& draw, Index unit, Index row, T deviation, const T* from, T* to) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        const Index first = (unit + u) / 2 * 2;
        T pair[2];
        math::normal_pair<O>(number(draw, first, row + i), number(draw, first + 1, row + i), pair[0], pair[1]);
        to[at(u, i)] = O::fma(deviation, pair[u % 2], from[at(u, i)]);
      }
    }
  }

  static void limit_norm(Index rows, T* w, T most) {
    for (Index lane = 0; lane < kLanes; ++lane) {
      T s[4] = {};
      for (Index r = 0; r < rows; ++r) s[r % 4] = O::fma(w[at(r, lane)], w[at(r, lane)], s[r % 4]);
      const T sum = (s[0] + s[1]) + (s[2] + s[3]), norm = std::sqrt(sum);
      for (Index r = 0; r < rows && !(norm <= most); ++r) {
        w[at(r, lane)] *= std::isfinite(sum) ? most / norm : std::numeric_limits<T>::quiet_NaN();
      }
    }
  }

  template <class F>
  static T over_units(Index units, F f) {
    T s[4] = {};
    for (Index u = 0; u < units; ++u) s[u % 4] = f(u, s[u % 4]);
    return (s[0] + s[1]) + (s[2] + s[3]);
  }

  static void normalise_rows(Index units, int lanes, T eps, const T* gamma, const T* beta, const T* z, T* hat, T* rstd, T* a) {
    const T count = static_cast<T>(units);
    for (Index i = 0; i < lanes; ++i) {
      const T mean = over_units(units, [&](Index u, T s) { return s + z[at(u, i)]; }) / count;
      const T squares = over_units(units, [&](Index u, T s) { return O::fma(z[at(u, i)] - mean, z[at(u, i)] - mean, s); });
      const T scale = T(1) / std::sqrt(squares / count + eps);
      for (Index u = 0; u < units; ++u) {
        const T h = (z[at(u, i)] - mean) * scale;
        if (hat) hat[at(u, i)] = h;
        a[at(u, i)] = O::fma(gamma[u], h, beta[u]);
      }
      if (rstd) rstd[i] = scale;
    }
  }

  static void denormalise_rows(Index units, int lanes, const T* gamma, const T* hat, const T* rstd, T* d, T* product) {
    const T count = static_cast<T>(units);
    for (Index i = 0; i < lanes; ++i) {
      const auto scaled = [&](Index u) { return d[at(u, i)] * gamma[u]; };
      const T mean = over_units(units, [&](Index u, T s) { return s + scaled(u); }) / count;
      const T slope = over_units(units, [&](Index u, T s) { return O::fma(scaled(u), hat[at(u, i)], s); }) / count;
      for (Index u = 0; u < units; ++u) {
        const T g = scaled(u);
        product[at(u, i)] = d[at(u, i)] * hat[at(u, i)];
        d[at(u, i)] = O::fma(-hat[at(u, i)], slope, g - mean) * rstd[i];
      }
    }
  }

  static void unit_sums(Index units, Index rows, Panels<const T> x, Panels<const T> y, const T* centre, T* out) {
    for (Index u = 0; u < kLanes; ++u) {
      T chain[kLanes] = {};
      for (Index m = 0; u < units && m < rows; ++m) {
        const T value = x.row(m / kLanes, u)[m % kLanes];
        const T first = centre ? value - centre[u] : value;
        const T second = centre ? first : y.data ? y.row(m / kLanes, u)[m % kLanes] : T(1);
        chain[m % kLanes] = O::fma(first, second, chain[m % kLanes]);
      }
      for (Index half = kLanes / 2; half > 0; half /= 2) {
        for (Index l = 0; l < half; ++l) chain[l] += chain[l + half];
      }
      out[u] = chain[0];
    }
  }

  static void normalise_units(Index units, int lanes, const T* mean, const T* rstd, const T* gamma, const T* beta, const T* z,
                              T* hat, T* a) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        const T h = (z[at(u, i)] - mean[u]) * rstd[u];
        if (hat) hat[at(u, i)] = h;
        a[at(u, i)] = O::fma(gamma[u], h, beta[u]);
      }
    }
  }

  static void denormalise_units(Index units, int lanes, const T* mean, const T* slope, const T* factor, const T* hat, T* d) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        d[at(u, i)] = O::fma(-hat[at(u, i)], slope[u], d[at(u, i)] - mean[u]) * factor[u];
      }
    }
  }

  static void squared_loss(const LossArgs<T>& p, Index lane) {
    const T n = static_cast<T>(p.units);
    const bool mean = p.loss == Loss::mse;
    T squares = 0, distance = 0;
    for (Index j = 0; j < p.units; ++j) {
      const T e = p.a[at(j, lane)] - p.target[at(j, lane)];
      squares = O::fma(e, e, squares);
      distance += std::fabs(e);
      if (p.delta) p.delta[at(j, lane)] = e * (mean ? T(2) / n * p.scale : p.scale);
    }
    p.loss_rows[lane] = squares * (mean ? T(1) / n : T(0.5));
    p.metric_rows[lane] = distance;
  }

  // The first of the largest; a NaN never is.
  static Index largest(const T* p, Index units, Index lane) {
    Index best = 0;
    for (Index j = 1; j < units; ++j) {
      if (p[at(j, lane)] > p[at(best, lane)]) best = j;
    }
    return best;
  }

  static void cross_entropy_loss(const LossArgs<T>& p, Index lane) {
    const Index guess = largest(p.a, p.units, lane);
    const T high = p.a[at(guess, lane)];
    T sum = 0;
    for (Index j = 0; j < p.units; ++j) sum += math::exp<O>(p.a[at(j, lane)] - high);
    const T log_sum = math::log<O>(sum);
    Index answer;
    T loss = 0, mass = 0;
    if (p.labels) {
      answer = p.labels[lane];
      loss = log_sum - (p.a[at(answer, lane)] - high);
      mass = 1;
    } else {
      answer = largest(p.target, p.units, lane);
      for (Index j = 0; j < p.units; ++j) {
        loss = O::fma(p.target[at(j, lane)], log_sum - (p.a[at(j, lane)] - high), loss);
        mass += p.target[at(j, lane)];
      }
    }
    p.loss_rows[lane] = loss;
    p.metric_rows[lane] = guess == answer ? T(1) : T(0);
    for (Index j = 0; p.delta && j < p.units; ++j) {
      const T part = math::exp<O>(p.a[at(j, lane)] - high) * (p.scale * mass / sum);
      if (p.labels) {
        p.delta[at(j, lane)] = j == answer ? part - p.scale : part;
      } else {
        p.delta[at(j, lane)] = O::fma(-p.scale, p.target[at(j, lane)], part);
      }
    }
  }

  static void binary_cross_entropy_loss(const LossArgs<T>& p, Index lane) {
    const T share = T(1) / static_cast<T>(p.units);
    T sum = 0, right = 0;
    for (Index j = 0; j < p.units; ++j) {
      const T z = p.a[at(j, lane)], t = p.target[at(j, lane)];
      const T e = math::exp<O>(-std::fabs(z));
      sum += O::fma(-z, t, activated(z, Activation::relu)) + math::log1p<O>(e);
      right += (z > 0) == (t > T(0.5)) ? T(1) : T(0);
      if (p.delta) p.delta[at(j, lane)] = ((z > 0 ? T(1) : e) / (T(1) + e) - t) * (p.scale * share);
    }
    p.loss_rows[lane] = sum * share;
    p.metric_rows[lane] = right;
  }

  // Cross-entropy with (1 - s) t + s / n for t.
  static void smoothed_loss(const LossArgs<T>& p, Index lane) {
    const T s = p.parameter, keep = T(1) - s, part = s / static_cast<T>(p.units);
    const Index guess = largest(p.a, p.units, lane);
    const T high = p.a[at(guess, lane)];
    T sum = 0, all = 0, loss = 0, mass = 0;
    for (Index j = 0; j < p.units; ++j) {
      sum += math::exp<O>(p.a[at(j, lane)] - high);
      all += p.a[at(j, lane)] - high;
    }
    const T log_sum = math::log<O>(sum);
    if (p.labels) {
      loss = log_sum - (p.a[at(p.labels[lane], lane)] - high);
      mass = 1;
    } else {
      for (Index j = 0; j < p.units; ++j) {
        loss = O::fma(p.target[at(j, lane)], log_sum - (p.a[at(j, lane)] - high), loss);
        mass += p.target[at(j, lane)];
      }
    }
    const Index answer = p.labels ? p.labels[lane] : largest(p.target, p.units, lane);
    p.metric_rows[lane] = guess == answer ? T(1) : T(0);
    p.loss_rows[lane] = O::fma(keep, loss, part * O::fma(static_cast<T>(p.units), log_sum, -all));
    mass = O::fma(keep, mass, s);
    for (Index j = 0; p.delta && j < p.units; ++j) {
      const T g = math::exp<O>(p.a[at(j, lane)] - high) * (p.scale * mass / sum) - p.scale * part;
      if (p.labels) {
        p.delta[at(j, lane)] = j == answer ? g - p.scale * keep : g;
      } else {
        p.delta[at(j, lane)] = O::fma(-(p.scale * keep), p.target[at(j, lane)], g);
      }
    }
  }

  static void focal_loss(const LossArgs<T>& p, Index lane) {
    const Index guess = largest(p.a, p.units, lane);
    const T high = p.a[at(guess, lane)];
    const auto e = [&](Index j) { return math::exp<O>(p.a[at(j, lane)] - high); };
    T rest = 0, loss = 0, total = 0;
    for (Index j = 0; j < p.units; ++j) rest += j == guess ? T(0) : e(j);
    const T sum = T(1) + rest, log_sum = math::log1p<O>(rest);
    std::vector<T> c(static_cast<std::size_t>(p.units));
    for (Index j = 0; j < p.units; ++j) {
      const T t = p.labels ? (p.labels[lane] == j ? T(1) : T(0)) : p.target[at(j, lane)];
      const T q0 = (j == guess ? rest : sum - e(j)) / sum,
              q = q0 < std::numeric_limits<T>::min() ? std::numeric_limits<T>::min() : q0;
      const T log_p = p.a[at(j, lane)] - high - log_sum;
      const T power = math::exp<O>((p.parameter - T(1)) * math::log<O>(q)), focus = power * q;
      loss += t == 0 ? T(0) : -t * (focus * log_p);
      total += c[static_cast<std::size_t>(j)] = t == 0 ? T(0) : t * O::fma(p.parameter * (e(j) / sum) * power, log_p, -focus);
    }
    p.loss_rows[lane] = loss;
    p.metric_rows[lane] = guess == (p.labels ? p.labels[lane] : largest(p.target, p.units, lane)) ? T(1) : T(0);
    for (Index j = 0; p.delta && j < p.units; ++j)
      p.delta[at(j, lane)] = p.scale * O::fma(-(e(j) / sum), total, c[static_cast<std::size_t>(j)]);
  }

  static void margin_loss(const LossArgs<T>& p, Index lane) {
    const T share = T(1) / static_cast<T>(p.units), mine = p.a[at(p.labels[lane], lane)];
    T sum = 0, count = 0;
    for (Index j = 0; j < p.units; ++j) {
      if (j == p.labels[lane]) continue;
      const T margin = T(1) - (mine - p.a[at(j, lane)]);
      sum += margin < 0 ? T(0) : margin;
      count += margin <= 0 ? T(0) : T(1);
      if (p.delta) p.delta[at(j, lane)] = (margin <= 0 ? T(0) : T(1)) * (p.scale * share);
    }
    if (p.delta) p.delta[at(p.labels[lane], lane)] = -count * (p.scale * share);
    p.loss_rows[lane] = sum * share;
    p.metric_rows[lane] = largest(p.a, p.units, lane) == p.labels[lane] ? T(1) : T(0);
  }

  static T sign(T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : x; }

  // Means over outputs of a function of one.
  static void mean_loss(const LossArgs<T>& p, Index lane) {
    const T share = T(1) / static_cast<T>(p.units), q = p.parameter;
    T loss = 0, metric = 0;
    for (Index j = 0; j < p.units; ++j) {
      const T a = p.a[at(j, lane)], t = p.target[at(j, lane)], e = a - t, size = std::fabs(e);
      T d = 0;
      if (p.loss == Loss::mae) {
        loss += size;
        d = sign(e);
      } else if (p.loss == Loss::huber) {
        const T c = size > q ? q : size;
        loss = O::fma(c, O::fma(T(-0.5), c, size), loss);
        d = e < 0 ? -c : c;
      } else if (p.loss == Loss::quantile) {
        const T factor = e > 0 ? T(1) - q : q;
        loss = O::fma(factor, size, loss);
        d = factor * sign(e);
      } else if (p.loss == Loss::poisson) {
        d = math::exp<O>(a) - t;
        loss += O::fma(-t, a, math::exp<O>(a));
      } else {
        const T margin = T(1) - (t > 0 ? a : -a);
        loss += margin < 0 ? T(0) : margin;
        d = margin <= 0 ? T(0) : t > 0 ? T(-1) : T(1);
      }
      metric += p.loss == Loss::hinge ? T((a > 0) == (t > 0)) : p.loss == Loss::poisson ? std::fabs(d) : size;
      if (p.delta) p.delta[at(j, lane)] = d * (p.scale * share);
    }
    p.loss_rows[lane] = loss * share;
    p.metric_rows[lane] = metric;
  }

  static void loss(const LossArgs<T>& p) {
    for (Index lane = 0; lane < p.lanes; ++lane) {
      switch (p.loss) {
        case Loss::cross_entropy:
          p.parameter == 0 ? cross_entropy_loss(p, lane) : smoothed_loss(p, lane);
          break;
        case Loss::binary_cross_entropy:
          binary_cross_entropy_loss(p, lane);
          break;
        case Loss::mse:
        case Loss::quadratic:
          squared_loss(p, lane);
          break;
        case Loss::focal:
          focal_loss(p, lane);
          break;
        default:
          p.labels ? margin_loss(p, lane) : mean_loss(p, lane);
      }
    }
    const bool from_z = p.loss == Loss::cross_entropy || p.loss == Loss::binary_cross_entropy || p.loss == Loss::focal;
    if (!from_z && p.delta) derive(p.units, p.lanes, p.delta, derived_from_z(p.activation) ? p.z : p.a, p.activation);
    for (Index i = 0; p.weights && p.delta && i < p.units * kLanes; ++i) {
      const T w = p.weights[i % kLanes];
      if (i % kLanes < p.lanes) p.delta[i] = w == 0 ? T(0) : p.delta[i] * w;
    }
  }

  // The passes themselves, at once, layer by layer with the functions above: no list of calls.
  static Index small_forward(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>*) {
    for (Index l = 0; l < depth; ++l) {
      const SmallLayer<T>& layer = layers[l];
      for (Index j = 0; j < layer.fan_out; j += kLanes) {
        forward(layer.fan_in, std::min(kLanes, layer.fan_out - j), lanes, layer.w.panel(j / kLanes), {layer.x, 0}, layer.b + j,
                {layer.a + j * kLanes, 0}, {layer.z ? layer.z + j * kLanes : nullptr, 0}, true, layer.activation);
      }
      if (layer.activation == Activation::softmax) activate(layer.fan_out, lanes, layer.a, layer.activation);
    }
    return 0;
  }

  static Index small_backward(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>*) {
    for (Index l = depth - 1; l >= 0; --l) {
      const SmallLayer<T>& layer = layers[l];
      for (Index j = 0; j < layer.fan_out; j += kLanes) {
        transpose(std::min(kLanes, layer.fan_out - j), lanes, layer.delta + j * kLanes, layer.delta_t.panel(j / kLanes));
      }
      if (l == 0) break;
      delta(layer.fan_in, layer.fan_out, lanes, {layer.w.data, layer.w.rows}, {layer.delta, 0}, {layers[l - 1].delta, 0},
            {derived_from_z(layers[l - 1].activation) ? layers[l - 1].z : layer.x, 0}, true, true, layers[l - 1].activation);
    }
    return 0;
  }

  static Index small_update(Index depth, const SmallLayer<T>* layers, int lanes, const T* parameters, T* beside,
                            const Update<T>* update, SmallCall<T>*) {
    for (Index l = 0; l < depth; ++l) {
      const SmallLayer<T>& layer = layers[l];
      for (Index j = 0; j < layer.fan_out; j += kLanes) {
        T *w = layer.w.panel(j / kLanes), *b = layer.b + j;
        T *beside_w = beside ? beside + (w - parameters) : nullptr, *beside_b = beside ? beside + (b - parameters) : nullptr;
        const T* d = layer.delta_t.panel(j / kLanes);
        dw(layer.fan_in, lanes, static_cast<int>(std::min(kLanes, layer.fan_out - j)), {layer.x, 0}, {d, 0}, {beside_w, 0},
           true, true, {w, 0}, {beside_w, 0}, update);
        db(lanes, d, beside_b, b, beside_b, update);
      }
    }
    return 0;
  }

  static constexpr Kernels<T> table() {
    return {1,
            1,
            1,
            1,
            forward,
            forward_rows,
            delta,
            delta_rows,
            dw,
            dw_rows,
            db,
            update,
            squares,
            transpose,
            {gather<float>, gather<double>, gather<std::uint8_t>},
            {convert<float>, convert<double>, convert<std::uint8_t>},
            {finite<float>, finite<double>, finite<std::uint8_t>},
            activate,
            derive,
            loss,
            small_forward,
            small_backward,
            small_update,
            drop,
            add_noise,
            limit_norm,
            normalise_rows,
            denormalise_rows,
            unit_sums,
            normalise_units,
            denormalise_units};
  }
};

// The oracle that a table must agree with to the last bit.
template <class T>
const Kernels<T>& oracle_of(const KernelTable& table) {
  static constexpr Kernels<T> fused = Oracle<Scalar<T>>::table(), unfused = Oracle<Unfused<T>>::table();
  return table.fused ? fused : unfused;
}

}  // namespace retrograd::testing
