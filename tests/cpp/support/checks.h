// Single calls of a kernel against the oracle, for the tests of that kernel and for those of tables.
// Each is defined in the file of its kernel. There is no test here.
#pragma once

#include "support/oracle/activations.h"
#include "support/updates.h"

namespace retrograd::testing {

struct ForwardCase {
  Index k, units;
  int lanes;
  bool bias = true, last = true, keep_z = false;
  Activation activation = Activation::identity;

  std::string describe() const {
    return words("forward k", k) + words(" units", units) + words(" lanes", lanes) + words(" bias", bias) +
           words(" last", last) + words(" z", keep_z) + words(" activation", activation);
  }
};

template <class T>
void check_forward(const Pair<T>& pair, const ForwardCase& c, Dice& dice, T special = T(0));

struct DeltaCase {
  Index rows, n;
  int lanes;
  Index gap = 0;  // rows of a panel that are not in the block
  bool first = true, last = true;
  Activation activation = Activation::identity;

  std::string describe() const {
    return words("delta rows", rows) + words(" n", n) + words(" lanes", lanes) + words(" gap", gap) + words(" first", first) +
           words(" last", last) + words(" activation", activation);
  }
};

template <class T>
void check_delta(const Pair<T>& pair, const DeltaCase& c, Dice& dice);

template <class T>
void check_dw(const Pair<T>& pair, Index rows, Index m, int lanes, bool first, bool last, const Update<T>* update, Dice& dice);

template <class T>
struct LossCase {
  Loss loss;
  Activation activation;
  Index units;
  int lanes;
  bool labels, want_delta;
  Values<T> a, target, z, weights;
  std::vector<std::int32_t> label;
  T scale = T(1) / T(7), parameter;
  bool weighted;

  LossCase(Loss loss_, Activation activation_, Index units_, int lanes_, bool labels_, bool want_delta_, Dice& dice,
           T parameter_ = T(0), bool weighted_ = false)
      : loss(loss_),
        activation(activation_),
        units(units_),
        lanes(lanes_),
        labels(labels_),
        want_delta(want_delta_),
        a(panel<T>(dice, units_, lanes_)),
        target(panel<T>(dice, units_, lanes_)),
        z(panel<T>(dice, units_, lanes_)),
        weights(dice.numbers<T>(kLanes)),
        label(kLanes, 0),
        parameter(parameter_),
        weighted(weighted_) {
    for (T& v : a) v *= T(5);
    for (T& v : z) v *= T(3);
    for (T& v : weights) v = v < T(-0.5) ? T(0) : v + T(1);
    // Ties and zeros: two equal largest logits, of which the first counts, and a logit of 0.
    if (units > 1) a[static_cast<std::size_t>((units - 1) * kLanes)] = a[0];
    if (lanes > 1) a[1] = T(0);
    if (lanes > 2 && units > 1) a[2] = a[kLanes + 2] = T(7);
    const bool any = facts_of(loss).targets == TargetKind::numbers;
    if (activation == Activation::softmax) oracle::Activations<Scalar<T>>::activate(units, lanes, a.data(), activation);
    for (T& v : target) v = any ? v : (v + T(1)) / T(2);
    for (int i = 0; i < lanes; ++i) {
      label[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(dice.below(units));
      if (loss == Loss::cross_entropy || loss == Loss::focal) {  // rows of probabilities
        T sum = 0;
        for (Index j = 0; j < units; ++j) sum += target[static_cast<std::size_t>(j * kLanes + i)];
        for (Index j = 0; j < units; ++j) target[static_cast<std::size_t>(j * kLanes + i)] /= sum;
      } else if (loss == Loss::binary_cross_entropy && i % 2) {
        for (Index j = 0; j < units; ++j) target[static_cast<std::size_t>(j * kLanes + i)] = T(dice.below(2));
      } else if (loss == Loss::hinge || loss == Loss::poisson) {
        for (Index j = 0; j < units; ++j) {
          const T number = T(dice.below(2)) * T(2) - T(i % 2);  // -1, 1; 0, 2
          target[static_cast<std::size_t>(j * kLanes + i)] = loss == Loss::poisson ? std::fabs(number) : number;
        }
      }
    }
  }

  std::string describe() const {
    return words("loss", loss, activation) +
           words(" units, lanes, labels, delta, weighted", units, lanes, labels, want_delta, weighted);
  }
  LossArgs<T> args(const T* pa, const T* pt, const std::int32_t* pl, T* delta, T* loss_rows, T* metric_rows, const T* z_at,
                   const T* weights_at) const {
    if (!derived_from_z(activation)) z_at = nullptr;
    if (!weighted) weights_at = nullptr;
    return {loss,
            activation,
            units,
            lanes,
            pa,
            labels ? nullptr : pt,
            labels ? pl : nullptr,
            scale,
            want_delta ? delta : nullptr,
            loss_rows,
            metric_rows,
            parameter,
            z_at,
            weights_at};
  }
};

template <class T>
void check_loss(const Pair<T>& pair, const LossCase<T>& c, Dice& dice);

}  // namespace retrograd::testing
