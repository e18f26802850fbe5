// One function for each loss: the loss of every row of a panel, its metric and its deltas, in one pass.
// It is a part of kernels.cpp. The last layer's activation and its derivative are in activate.h; the
// mean over a batch is in network/passes.cpp.
#pragma once

#include "kernels/activate.h"
#include "kernels/activations.h"
#include "kernels/moves.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

template <class T>
RG_INLINE V<T> absolute(V<T> x) {
  return activations::absolute<Ops<T>>(x);
}

// mse: (1/n) sum (a - t)^2; quadratic: (1/2) sum (a - t)^2.
template <class T>
void squared_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const bool mean = p.loss == Loss::mse;
  const T n = static_cast<T>(p.units);
  const V<T> share = O::set(0) + (mean ? T(1) / n : T(0.5));
  const V<T> slope = O::set(0) + (mean ? T(2) / n * p.scale : p.scale);
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    V<T> squares{}, distance{};
    for (Index j = 0; j < p.units; ++j) {
      const V<T> e = O::load(p.a + j * kLanes + o) - O::load(p.target + j * kLanes + o);
      squares = O::fma(e, e, squares);
      distance += absolute<T>(e);
      if (p.delta) O::store(p.delta + j * kLanes + o, e * slope);
    }
    O::store(p.loss_rows + o, squares * share);
    O::store(p.metric_rows + o, distance);
  }
  if (p.delta) derive(p.units, p.lanes, p.delta, derived_from(p.activation, p.a, p.z), p.activation);
}

// The losses that are a mean over outputs of a function of one output. f(a, t, loss, distance) adds to
// the last two, and returns the derivative with respect to a.
template <class T, class F>
RG_INLINE void each_output(const LossArgs<T>& p, F f) {
  using O = Ops<T>;
  const V<T> share = O::set(1) / O::set(static_cast<double>(p.units)), slope = O::broadcast(&p.scale) * share;
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    V<T> sum{}, distance{};
    for (Index j = 0; j < p.units; ++j) {
      const V<T> d = f(O::load(p.a + j * kLanes + o), O::load(p.target + j * kLanes + o), sum, distance);
      if (p.delta) O::store(p.delta + j * kLanes + o, d * slope);
    }
    O::store(p.loss_rows + o, sum * share);
    O::store(p.metric_rows + o, distance);
  }
  if (p.delta) derive(p.units, p.lanes, p.delta, derived_from(p.activation, p.a, p.z), p.activation);
}

// -1, 0 or 1; NaN stays NaN.
template <class T>
RG_INLINE V<T> sign_of(V<T> x) {
  using O = Ops<T>;
  return O::select(x > V<T>{}, O::set(1), O::select(x < V<T>{}, O::set(-1), x));
}

// (1/n) sum |a - t|
template <class T>
void absolute_loss(const LossArgs<T>& p) {
  each_output(p, [](V<T> a, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> e = a - t;
    loss += absolute<T>(e);
    distance += absolute<T>(e);
    return sign_of<T>(e);
  });
}

// (1/n) sum e^2 / 2 where |e| <= d, d (|e| - d / 2) beyond: c (|e| - c / 2) with c = min(|e|, d).
template <class T>
void huber_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> d = O::broadcast(&p.parameter);
  each_output(p, [d](V<T> a, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> e = a - t, size = absolute<T>(e), c = O::select(size > d, d, size);
    loss = O::fma(c, O::fma(O::set(-0.5), c, size), loss);
    distance += size;
    return O::select(e < V<T>{}, -c, c);
  });
}

// (1/n) sum exp(z) - t z: the loss of a count t whose mean is exp(z).
template <class T>
void poisson_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  each_output(p, [](V<T> z, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> rate = math::exp<O>(z), e = rate - t;
    loss += O::fma(-t, z, rate);
    distance += absolute<T>(e);
    return e;
  });
}

// (1/n) sum q (t - a) where t > a, (1 - q) (a - t) where a > t.
template <class T>
void quantile_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> q = O::broadcast(&p.parameter), rest = O::set(1) - q;
  each_output(p, [q, rest](V<T> a, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> e = a - t, factor = O::select(e > V<T>{}, rest, q);
    loss = O::fma(factor, absolute<T>(e), loss);
    distance += absolute<T>(e);
    return factor * sign_of<T>(e);
  });
}

// (1/n) sum max(0, 1 - s a), s = 1 where t > 0, else -1.
template <class T>
void hinge_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1);
  each_output(p, [one](V<T> a, V<T> t, V<T>& loss, V<T>& right) RG_LAMBDA {
    const auto yes = t > V<T>{};
    const V<T> margin = one - O::select(yes, a, -a);
    loss += relu<T>(margin);
    right += O::select((a > V<T>{}) == yes, one, V<T>{});
    return relu_derivative<T>(O::select(yes, -one, one), margin);
  });
}

// The first of the largest outputs; a NaN never is it.
template <class T>
RG_INLINE V<T> largest(const T* z, Index units, V<T>& high) {
  using O = Ops<T>;
  high = O::load(z);
  V<T> place{};
  for (Index j = 1; j < units; ++j) {
    const V<T> x = O::load(z + j * kLanes);
    const auto larger = x > high;
    high = O::select(larger, x, high);
    place = O::select(larger, O::set(static_cast<double>(j)), place);
  }
  return place;
}

// (1/n) sum over j != label of max(0, 1 - a_label + a_j) (Weston, Watkins, 1999).
template <class T>
void margin_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1), share = one / O::set(static_cast<double>(p.units)), slope = O::broadcast(&p.scale) * share;
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    const V<T> label = load_as<T, std::int32_t>(p.labels + o);
    V<T> sum{}, count{}, high, mine{};
    for (Index j = 0; j < p.units; ++j) {
      mine = O::select(label == O::set(static_cast<double>(j)), O::load(p.a + j * kLanes + o), mine);
    }
    for (Index j = 0; j < p.units; ++j) {
      const V<T> margin = one - (mine - O::load(p.a + j * kLanes + o));
      const auto other = label != O::set(static_cast<double>(j));
      const V<T> over = O::select(other, relu_derivative<T>(one, margin), V<T>{});
      sum += O::select(other, relu<T>(margin), V<T>{});
      count += over;
      if (p.delta) O::store(p.delta + j * kLanes + o, over * slope);
    }
    for (Index j = 0; p.delta && j < p.units; ++j) {
      T* d = p.delta + j * kLanes + o;
      O::store(d, O::select(label == O::set(static_cast<double>(j)), -count * slope, O::load(d)));
    }
    O::store(p.loss_rows + o, sum * share);
    O::store(p.metric_rows + o, O::select(largest<T>(p.a + o, p.units, high) == label, one, V<T>{}));
  }
  if (p.delta) derive(p.units, p.lanes, p.delta, derived_from(p.activation, p.a, p.z), p.activation);
}

// -sum t log softmax(z) in one stable step: log sum exp(z - max) - (z - max)_label; delta = softmax(z) - t.
// `smooth`: with (1 - s) t + s / n in place of t. N vectors of lanes from lane o on, side by side, as each waits for its own
// maximum, sum and logarithm.
template <class T, bool smooth, int N>
RG_INLINE void cross_entropy_lanes(const LossArgs<T>& p, Index o) {
  using O = Ops<T>;
  constexpr Index W = O::width;
  const Index units = p.units;
  const V<T> one = O::set(1);
  [[maybe_unused]] const V<T> spread = O::broadcast(&p.parameter), keep = one - spread,
                              part = spread / O::set(static_cast<double>(units));
  const T* z = p.a + o;
  const T* t = p.target + o;
  T* delta = p.delta ? p.delta + o : nullptr;
  V<T> label[N], high[N], guess[N], picked[N], sum[N], loss[N], mass[N];  // picked: z of the label
  [[maybe_unused]] V<T> all[N];
  RG_UNROLL for (int v = 0; v < N; ++v) {
    label[v] = p.labels ? load_as<T, std::int32_t>(p.labels + o + v * W) : V<T>{};
    high[v] = picked[v] = O::load(z + v * W);
    guess[v] = sum[v] = loss[v] = all[v] = V<T>{};
    mass[v] = one;
  }
  for (Index j = 1; j < units; ++j) {
    const V<T> unit = O::set(static_cast<double>(j));
    RG_UNROLL for (int v = 0; v < N; ++v) {
      const V<T> x = O::load(z + j * kLanes + v * W);
      const auto larger = x > high[v];
      high[v] = O::select(larger, x, high[v]);
      guess[v] = O::select(larger, unit, guess[v]);
      picked[v] = O::select(label[v] == unit, x, picked[v]);
    }
  }
  for (Index j = 0; j < units; ++j) {
    RG_UNROLL for (int v = 0; v < N; ++v) {
      const V<T> x = O::load(z + j * kLanes + v * W) - high[v], e = math::exp<O>(x);
      sum[v] += e;
      if constexpr (smooth) all[v] += x;
      if (delta) O::store(delta + j * kLanes + v * W, e);
    }
  }
  RG_UNROLL for (int v = 0; v < N; ++v) {
    const V<T> log_sum = math::log<O>(sum[v]);
    if (p.labels) {
      loss[v] = log_sum - (picked[v] - high[v]);
      O::store(p.metric_rows + o + v * W, O::select(guess[v] == label[v], one, V<T>{}));
    } else {
      V<T> best = O::load(t + v * W), answer{};
      mass[v] = V<T>{};
      for (Index j = 0; j < units; ++j) {
        const V<T> y = O::load(t + j * kLanes + v * W);
        loss[v] = O::fma(y, log_sum - (O::load(z + j * kLanes + v * W) - high[v]), loss[v]);
        mass[v] += y;
        const auto larger = y > best;
        best = O::select(larger, y, best);
        answer = O::select(larger, O::set(static_cast<double>(j)), answer);
      }
      O::store(p.metric_rows + o + v * W, O::select(guess[v] == answer, one, V<T>{}));
    }
    if constexpr (smooth) {
      loss[v] = O::fma(keep, loss[v], part * O::fma(O::set(static_cast<double>(units)), log_sum, -all[v]));
      mass[v] = O::fma(keep, mass[v], spread);
    }
    O::store(p.loss_rows + o + v * W, loss[v]);
  }
  if (!delta) return;
  V<T> scale = O::broadcast(&p.scale), of_sum[N];
  RG_UNROLL for (int v = 0; v < N; ++v) of_sum[v] = scale * mass[v] / sum[v];
  [[maybe_unused]] const V<T> floor = scale * part;
  if constexpr (smooth) scale = scale * keep;
  for (Index j = 0; j < units; ++j) {
    const V<T> unit = O::set(static_cast<double>(j));
    RG_UNROLL for (int v = 0; v < N; ++v) {
      T* d = delta + j * kLanes + v * W;
      V<T> g = O::load(d) * of_sum[v];
      if constexpr (smooth) g -= floor;
      O::store(d, p.labels ? O::select(label[v] == unit, g - scale, g) : O::fma(-scale, O::load(t + j * kLanes + v * W), g));
    }
  }
}

template <class T, bool smooth>
void cross_entropy_loss(const LossArgs<T>& p) {
  constexpr int pair = Ops<T>::per_panel > 1 && !smooth ? 2 : 1;
  int v = 0;
  for (; v + pair <= vectors<T>(p.lanes); v += pair) cross_entropy_lanes<T, smooth, pair>(p, v * Ops<T>::width);
  if constexpr (pair > 1) {
    if (v < vectors<T>(p.lanes)) cross_entropy_lanes<T, smooth, 1>(p, v * Ops<T>::width);
  }
}

// -sum t (1 - p)^g log p, p = softmax(z) (Lin, Goyal, Girshick, He, Dollar, 2017).
// With c_j = t_j (g p_j (1 - p_j)^(g-1) log p_j - (1 - p_j)^g), delta_j = c_j - p_j sum c.
// 1 - p comes from the sum of the others, so that it is right near p = 1.
template <class T>
void focal_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1), gamma = O::broadcast(&p.parameter), scale = O::broadcast(&p.scale);
  const V<T> tiny = O::set(math::Constants<T>::smallest);
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    const V<T> label = p.labels ? load_as<T, std::int32_t>(p.labels + o) : V<T>{};
    V<T> high, best{}, rest{}, loss{}, total{};
    const V<T> guess = largest<T>(p.a + o, p.units, high);
    for (Index j = 0; j < p.units; ++j) {
      const V<T> e = math::exp<O>(O::load(p.a + j * kLanes + o) - high);
      rest += O::select(guess == O::set(static_cast<double>(j)), V<T>{}, e);
    }
    const V<T> sum = one + rest, log_sum = math::log1p<O>(rest);
    for (Index j = 0; j < p.units; ++j) {
      const V<T> place = O::set(static_cast<double>(j)), x = O::load(p.a + j * kLanes + o) - high;
      const V<T> t = p.labels ? O::select(label == place, one, V<T>{}) : O::load(p.target + j * kLanes + o);
      const V<T> e = math::exp<O>(x), log_p = x - log_sum;
      V<T> q = O::select(guess == place, rest, sum - e) / sum;
      q = O::select(q < tiny, tiny, q);
      const V<T> power = math::exp<O>((gamma - one) * math::log<O>(q)), focus = power * q;  // (1 - p)^(g-1), (1 - p)^g
      const auto counts = t != V<T>{};                                                      // 0 where the log would be of 0
      loss += O::select(counts, -t * (focus * log_p), V<T>{});
      const V<T> c = O::select(counts, t * O::fma(gamma * (e / sum) * power, log_p, -focus), V<T>{});
      total += c;
      if (p.delta) O::store(p.delta + j * kLanes + o, c);
    }
    O::store(p.loss_rows + o, loss);
    const V<T> answer = p.labels ? label : largest<T>(p.target + o, p.units, best);
    O::store(p.metric_rows + o, O::select(guess == answer, one, V<T>{}));
    for (Index j = 0; p.delta && j < p.units; ++j) {
      T* d = p.delta + j * kLanes + o;
      const V<T> share = math::exp<O>(O::load(p.a + j * kLanes + o) - high) / sum;
      O::store(d, scale * O::fma(-share, total, O::load(d)));
    }
  }
}

// (1/n) sum max(z, 0) - z t + log(1 + exp(-|z|)); delta = (sigmoid(z) - t) / n.
template <class T>
void binary_cross_entropy_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1), half = O::set(0.5);
  const V<T> share = one / O::set(static_cast<double>(p.units));
  const V<T> scale = O::broadcast(&p.scale) * share;
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    V<T> sum{}, right{};
    for (Index j = 0; j < p.units; ++j) {
      const V<T> z = O::load(p.a + j * kLanes + o), t = O::load(p.target + j * kLanes + o);
      const V<T> e = math::exp<O>(-absolute<T>(z));
      sum += O::fma(-z, t, relu<T>(z)) + math::log1p<O>(e);
      const auto yes = z > V<T>{};
      right += O::select(yes == (t > half), one, V<T>{});
      if (p.delta) O::store(p.delta + j * kLanes + o, (O::select(yes, one, e) / (one + e) - t) * scale);
    }
    O::store(p.loss_rows + o, sum * share);
    O::store(p.metric_rows + o, right);
  }
}

template <class T>
RG_INLINE void loss_of_rows(const LossArgs<T>& args) {
  switch (args.loss) {
    case Loss::mse:
    case Loss::quadratic:
      return squared_loss(args);
    case Loss::cross_entropy:
      return args.parameter == 0 ? cross_entropy_loss<T, false>(args) : cross_entropy_loss<T, true>(args);
    case Loss::binary_cross_entropy:
      return binary_cross_entropy_loss(args);
    case Loss::mae:
      return absolute_loss(args);
    case Loss::huber:
      return huber_loss(args);
    case Loss::poisson:
      return poisson_loss(args);
    case Loss::quantile:
      return quantile_loss(args);
    case Loss::hinge:
      return args.labels ? margin_loss(args) : hinge_loss(args);
    case Loss::focal:
      return focal_loss(args);
  }
}

template <class T>
void loss(const LossArgs<T>& args) {
  loss_of_rows(args);
  if (!args.weights || !args.delta) return;
  map_rows(args.units, args.lanes, args.delta, [&args](V<T> d, Index i) RG_LAMBDA {
    const V<T> w = Ops<T>::load(args.weights + i % kLanes);
    return Ops<T>::select(w == V<T>{}, V<T>{}, d * w);
  });
}

template <class T>
constexpr Losses<T> loss_kernels() {
  Losses<T> table{};
  table.loss = loss<T>;
  return table;
}

}  // namespace
}  // namespace retrograd
