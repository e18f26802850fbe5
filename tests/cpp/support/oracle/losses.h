// Losses, metrics and the gradients of losses, one row at a time.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/table.h"
#include "support/oracle/activations.h"

namespace retrograd::testing::oracle {

template <class O>
struct Losses {
  using T = typename O::T;

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

  // The first of the largest; a NaN never is it.
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
      sum += O::fma(-z, t, Activations<O>::activated(z, Activation::relu)) + math::log1p<O>(e);
      right += (z > 0) == (t > T(0.5)) ? T(1) : T(0);
      if (p.delta) p.delta[at(j, lane)] = ((z > 0 ? T(1) : e) / (T(1) + e) - t) * (p.scale * share);
    }
    p.loss_rows[lane] = sum * share;
    p.metric_rows[lane] = right;
  }

  // Cross-entropy with (1 - s) t + s / n in place of t.
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

  // The losses that are means over outputs of a function of one output.
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
    if (!from_z && p.delta) {
      Activations<O>::derive(p.units, p.lanes, p.delta, derived_from_z(p.activation) ? p.z : p.a, p.activation);
    }
    for (Index i = 0; p.weights && p.delta && i < p.units * kLanes; ++i) {
      const T w = p.weights[i % kLanes];
      if (i % kLanes < p.lanes) p.delta[i] = w == 0 ? T(0) : p.delta[i] * w;
    }
  }
};

}  // namespace retrograd::testing::oracle
