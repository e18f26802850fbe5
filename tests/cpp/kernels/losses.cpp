// Losses, metrics and gradients on every table: the bits of the oracle, and the formulas in long double.
#include "support/checks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// f' by its formula, from a or from z.
template <class T>
long double slope_of(Activation f, long double a, long double z) {
  const long double s = 1 / (1 + std::exp(-z)), c = std::sqrt(2 / std::acos(-1.0L));
  const long double u = std::tanh(c * (z + 0.044715L * z * z * z)), w = std::tanh(std::log1p(std::exp(z)));
  switch (f) {
    case Activation::relu:
      return a > 0 ? 1 : 0;
    case Activation::leaky_relu:
      return a > 0 ? 1 : static_cast<long double>(static_cast<T>(kLeakySlope));
    case Activation::tanh:
      return 1 - a * a;
    case Activation::sigmoid:
      return a * (1 - a);
    case Activation::elu:
      return a > 0 ? 1 : a + 1;
    case Activation::selu:
      return static_cast<long double>(kSeluScale) * (a > 0 ? 1 : a / kSeluScale + kSeluAlpha);
    case Activation::softplus:
      return 1 - std::exp(-a);
    case Activation::softsign:
      return (1 - std::fabs(a)) * (1 - std::fabs(a));
    case Activation::exponential:
      return a;
    case Activation::gelu:
      return std::erfc(-z / std::sqrt(2.0L)) / 2 + z * std::exp(-z * z / 2) * c / 2;
    case Activation::gelu_tanh:
      return (1 + u) / 2 + z * (1 - u * u) * c * (1 + 3 * 0.044715L * z * z) / 2;
    case Activation::silu:
      return s + z * s * (1 - s);
    case Activation::mish:
      return w + z * (1 - w * w) * s;
    default:
      return 1;
  }
}

// The loss of one row, and the gradient of loss * scale with respect to each z, by the formula.
template <class T>
struct Exact {
  long double loss = 0, metric = 0;
  std::vector<long double> delta;

  Exact(const LossCase<T>& c, Index lane) : delta(static_cast<std::size_t>(c.units)) {
    const auto at = [&](Index j) { return static_cast<std::size_t>(j * kLanes + lane); };
    const auto target = [&](Index j) -> long double {
      return c.labels ? (j == c.label[static_cast<std::size_t>(lane)] ? 1.0L : 0.0L)
                      : static_cast<long double>(c.target[at(j)]);
    };
    const long double n = static_cast<long double>(c.units);
    long double sum = 0, dot = 0, mass = 0, focus = 0;  // focus: the sum over the terms of focal, see there
    Index guess = 0, answer = 0;
    for (Index j = 0; j < c.units; ++j) {
      sum += std::exp(static_cast<long double>(c.a[at(j)]));
      mass += target(j);
      if (c.a[at(j)] > c.a[at(guess)]) guess = j;
      if (target(j) > target(answer)) answer = j;
    }
    // For focal: t_i d(-(1 - p_i)^g log p_i) / dp_i * p_i, where dp_i / dz_j = p_i ((i == j) - p_j).
    const auto focal_slope = [&](Index i) {
      const long double p = std::exp(static_cast<long double>(c.a[at(i)])) / sum, g = c.parameter;
      return c.scale * target(i) * (g * std::pow(1 - p, g - 1) * std::log(p) * p - std::pow(1 - p, g));
    };
    for (Index i = 0; c.loss == Loss::focal && c.units > 1 && i < c.units; ++i) focus += focal_slope(i);
    for (Index j = 0; j < c.units; ++j) {
      const long double a = c.a[at(j)], t = target(j);
      long double& d = delta[static_cast<std::size_t>(j)];
      switch (c.loss) {
        case Loss::mse:
        case Loss::quadratic: {
          const long double share = c.loss == Loss::mse ? 1 / n : 0.5L;
          loss += share * (a - t) * (a - t);
          d = 2 * share * (a - t) * c.scale;
          break;
        }
        case Loss::mae:
          loss += std::fabs(a - t) / n;
          d = (a > t ? 1 : a < t ? -1 : 0) / n * c.scale;
          break;
        case Loss::huber:
          loss +=
              (std::fabs(a - t) <= c.parameter ? (a - t) * (a - t) / 2 : c.parameter * (std::fabs(a - t) - c.parameter / 2)) /
              n;
          d = std::min<long double>(c.parameter, std::max<long double>(-c.parameter, a - t)) / n * c.scale;
          break;
        case Loss::quantile:
          loss += std::max(c.parameter * (t - a), (c.parameter - 1) * (t - a)) / n;
          d = (t > a   ? -static_cast<long double>(c.parameter)
               : a > t ? 1 - static_cast<long double>(c.parameter)
                       : 0) /
              n * c.scale;
          break;
        case Loss::poisson:
          loss += (std::exp(a) - t * a) / n;
          d = (std::exp(a) - t) / n * c.scale;
          break;
        case Loss::hinge:
          if (c.labels) {
            const long double mine = c.a[at(c.label[static_cast<std::size_t>(lane)])];
            const bool over = t == 0 && 1 - mine + a > 0;
            loss += over ? (1 - mine + a) / n : 0;
            d += over ? c.scale / n : 0;
            delta[static_cast<std::size_t>(c.label[static_cast<std::size_t>(lane)])] -= over ? c.scale / n : 0;
          } else {
            const long double s = t > 0 ? 1 : -1;
            loss += std::max(0.0L, 1 - s * a) / n;
            d = (s * a < 1 ? -s : 0) / n * c.scale;
          }
          break;
        case Loss::focal: {
          const long double p = std::exp(a) / sum;
          loss -= t * std::pow(1 - p, static_cast<long double>(c.parameter)) * std::log(p);
          if (c.units > 1) d = focal_slope(j) - focus * p;
          break;
        }
        case Loss::cross_entropy: {
          const long double soft = (1 - static_cast<long double>(c.parameter)) * t + c.parameter / n;
          loss += soft * (std::log(sum) - a);
          d = (((1 - static_cast<long double>(c.parameter)) * mass + c.parameter) * std::exp(a) / sum - soft) * c.scale;
          break;
        }
        case Loss::binary_cross_entropy:
          loss += ((a > 0 ? a : 0) - a * t + std::log1p(std::exp(-std::fabs(a)))) / n;
          metric += (a > 0) == (t > 0.5L) ? 1 : 0;
          d = (1 / (1 + std::exp(-a)) - t) / n * c.scale;
          break;
      }
    }
    if (c.labels || c.loss == Loss::cross_entropy || c.loss == Loss::focal) metric = guess == answer ? 1 : 0;
    for (Index j = 0; j < c.units; ++j) {
      const long double a = c.a[at(j)], t = target(j);
      const auto numbers = {Loss::mse, Loss::quadratic, Loss::mae, Loss::huber, Loss::quantile};
      if (std::find(numbers.begin(), numbers.end(), c.loss) != numbers.end()) metric += std::fabs(a - t);
      if (c.loss == Loss::poisson) metric += std::fabs(std::exp(a) - t);
      if (c.loss == Loss::hinge && !c.labels) metric += (a > 0) == (t > 0) ? 1 : 0;
      dot += delta[static_cast<std::size_t>(j)] * a;
    }
    for (Index j = 0; j < c.units; ++j) {
      long double& d = delta[static_cast<std::size_t>(j)];
      const long double a = c.a[at(j)];
      d = c.activation == Activation::softmax ? a * (d - dot) : d * slope_of<T>(c.activation, a, c.z[at(j)]);
      if (c.weighted) d *= c.weights[static_cast<std::size_t>(lane)];
    }
  }
};

}  // namespace

namespace retrograd::testing {

template <class T>
void check_loss(const Pair<T>& pair, const LossCase<T>& c, Dice& dice) {
  const Values<T> delta0 = dice.numbers<T>(c.units * kLanes), row0 = dice.numbers<T>(kLanes);
  Values<T> delta = delta0, loss_rows = row0, metric_rows = row0;
  pair.oracle.loss(c.args(c.a.data(), c.target.data(), c.label.data(), delta.data(), loss_rows.data(), metric_rows.data(),
                          c.z.data(), c.weights.data()));
  const auto describe = [&] { return c.describe(); };
  static Operand<std::int32_t> label_memory(kLanes);
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    const T *pa = memory.in(c.a), *pt = memory.in(c.target), *pz = memory.in(c.z), *pw = memory.in(c.weights);
    T *got_delta = memory.out(delta0), *got_loss = memory.out(row0), *got_metric = memory.out(row0);
    pair.kernels.loss(c.args(pa, pt, label_memory.place(c.label, guard), got_delta, got_loss, got_metric, pz, pw));
    expect_panel(pair, got_delta, delta, c.lanes, describe);
    expect_panel(pair, got_loss, loss_rows, c.lanes, describe);
    expect_panel(pair, got_metric, metric_rows, c.lanes, describe);
    expect_kept(pair, memory, describe);
  }
  // These are sums of `units` terms, each with a few roundings, of the size of the largest number that goes in.
  const long double bound =
      static_cast<long double>(std::numeric_limits<T>::epsilon()) * static_cast<long double>(8 + 2 * c.units);
  for (Index lane = 0; pair.first && lane < c.lanes; ++lane) {
    const Exact<T> exact(c, lane);
    const auto i = static_cast<std::size_t>(lane);
    CHECK(std::fabs(loss_rows[i] - exact.loss) <= bound * std::max(6.0L, exact.loss));
    CHECK(std::fabs(metric_rows[i] - exact.metric) <= bound * std::max(1.0L, exact.metric));
    for (Index j = 0; c.want_delta && j < c.units; ++j) {
      const long double d = exact.delta[static_cast<std::size_t>(j)];
      if (std::fabs(delta[static_cast<std::size_t>(j * kLanes + lane)] - d) > bound * std::max(1.0L, std::fabs(d))) {
        FAIL(pair.name << ": " << c.describe() << ": delta of unit " << j << " is "
                       << delta[static_cast<std::size_t>(j * kLanes + lane)] << ", by the formula " << static_cast<double>(d));
      }
    }
  }
}

template void check_loss(const Pair<float>&, const LossCase<float>&, Dice&);
template void check_loss(const Pair<double>&, const LossCase<double>&, Dice&);

}  // namespace retrograd::testing

TEST_CASE_TEMPLATE("loss: bits of the oracle, and the formula", T, float, double) {
  Dice dice(17);
  std::vector<Activation> activations(std::begin(kEveryActivation), std::end(kEveryActivation));
  activations.push_back(Activation::softmax);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index units : sizes_to(20)) {
      for (const Index size : sizes_to(kLanes)) {
        const int lanes = static_cast<int>(size);
        for (const bool want_delta : {true, false}) {
          for (const Loss loss : {Loss::mse, Loss::quadratic}) {
            for (const Activation f : activations) check_loss<T>(pair, {loss, f, units, lanes, false, want_delta, dice}, dice);
          }
          for (const bool labels : {true, false}) {
            check_loss<T>(pair, {Loss::cross_entropy, Activation::identity, units, lanes, labels, want_delta, dice}, dice);
          }
          check_loss<T>(pair, {Loss::binary_cross_entropy, Activation::identity, units, lanes, false, want_delta, dice}, dice);
          for (const bool weighted : {false, true}) {
            const auto check = [&](Loss loss, Activation f, bool labels, T parameter) {
              check_loss<T>(pair, {loss, f, units, lanes, labels, want_delta, dice, parameter, weighted}, dice);
            };
            const Activation f = activations[static_cast<std::size_t>(dice.below(kActivationCount + 1))];
            check(Loss::mse, f, false, T(0));
            check(Loss::mae, f, false, T(0));
            for (const T d : {T(0.5), T(1), T(3)}) check(Loss::huber, f, false, d);
            for (const T q : {T(0.125), T(0.5), T(0.9)}) check(Loss::quantile, f, false, q);
            check(Loss::poisson, Activation::identity, false, T(0));
            check(Loss::hinge, dice.below(2) ? Activation::identity : f, false, T(0));
            check(Loss::hinge, dice.below(2) ? Activation::identity : f, true, T(0));
            for (const bool labels : {true, false}) {
              for (const T gamma : {T(0), T(0.5), T(1), T(2), T(5)}) check(Loss::focal, Activation::identity, labels, gamma);
              for (const T s : {T(0.1), T(0.5)}) check(Loss::cross_entropy, Activation::identity, labels, s);
            }
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("loss: far logits stay finite, NaN and infinity do not pass for a loss", T, float, double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CAPTURE(pair.name);
    alignas(64) T a[2 * kLanes] = {}, target[2 * kLanes] = {}, delta[2 * kLanes] = {}, loss[kLanes] = {}, metric[kLanes] = {};
    std::int32_t labels[kLanes] = {0, 1, 0, 0, 0};
    const T far = T(1e30);
    const T logits[5][2] = {{far, -far}, {far, -far}, {T(800), T(-800)}, {nan<T>(), 0}, {T(1), nan<T>()}};
    for (Index i = 0; i < 5; ++i) {
      a[i] = logits[i][0];
      a[kLanes + i] = logits[i][1];
      target[i] = 1;
    }
    LossArgs<T> args{Loss::cross_entropy, Activation::identity, 2, 5, a, target, labels, T(1), delta, loss, metric};
    pair.kernels.loss(args);
    CHECK(loss[0] == T(0));
    CHECK(loss[1] == 2 * far);
    CHECK(loss[2] == T(0));
    CHECK(std::isnan(loss[3]));
    CHECK(std::isnan(loss[4]));
    CHECK(delta[0] == T(0));
    CHECK(delta[1] == T(1));
    CHECK(delta[kLanes + 1] == T(-1));
    CHECK(std::isnan(delta[3]));
    CHECK(std::isnan(delta[4]));

    args.loss = Loss::binary_cross_entropy;
    args.labels = nullptr;
    pair.kernels.loss(args);
    CHECK(loss[0] == T(0));
    CHECK(loss[2] == T(0));
    CHECK(std::isnan(loss[3]));
    CHECK(std::isnan(loss[4]));
    CHECK(std::isnan(delta[3]));
    CHECK(std::isnan(delta[kLanes + 4]));
    CHECK(delta[0] == T(0));
    CHECK(delta[kLanes] == T(0));

    for (const Loss squared : {Loss::mse, Loss::quadratic}) {
      args.loss = squared;
      pair.kernels.loss(args);
      CHECK(loss[2] == (T(799) * T(799) + T(640000)) / T(2));
      CHECK(std::isnan(loss[3]));
      CHECK(std::isnan(loss[4]));
    }
  }
}
