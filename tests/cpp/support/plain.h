// A network in long double with libm, without blocks, panels or threads, and how far the real one is from it. No test.
#pragma once

#include "support/networks.h"

namespace retrograd::testing {

// A network in long double with libm, weights as the real one holds them: the loss of rows and nothing else.
struct Plain {
  using Number = long double;
  std::vector<std::vector<Number>> w, b;  // [layer][fan_in * fan_out], [layer][fan_out]
  std::vector<Index> sizes;
  std::vector<Activation> activations;
  Loss loss;
  bool labels;
  Number parameter;

  template <class T>
  Plain(const Network<T>& network, const Spec& spec)
      : sizes(spec.sizes),
        activations(spec.activations),
        loss(spec.loss),
        labels(spec.labels),
        parameter(network.loss_parameter()) {
    for (const DenseLayer<T>& layer : network.layers()) {
      w.emplace_back();
      b.emplace_back(layer.b, layer.b + layer.fan_out);
      for (Index i = 0; i < layer.fan_in; ++i) {
        for (Index j = 0; j < layer.fan_out; ++j) w.back().push_back(layer.w.row(j / kLanes, i)[j % kLanes]);
      }
    }
  }

  static void activate(std::vector<Number>& z, Activation f) {
    Number high = z[0], sum = 0;
    for (const Number v : z) high = std::max(high, v);
    for (Number& v : z) {
      if (f == kRelu) v = v < 0 ? 0 : v;
      if (f == kLeaky) v = v < 0 ? static_cast<Number>(kLeakySlope) * v : v;
      if (f == kTanh) v = std::tanh(v);
      if (f == kSigmoid) v = 1 / (1 + std::exp(-v));
      if (f == Activation::elu && v < 0) v = std::expm1(v);
      if (f == Activation::selu) v = Number(kSeluScale) * (v < 0 ? Number(kSeluAlpha) * std::expm1(v) : v);
      if (f == Activation::softplus) v = std::log1p(std::exp(v));
      if (f == Activation::softsign) v = v / (1 + std::fabs(v));
      if (f == Activation::exponential) v = std::exp(v);
      if (f == Activation::gelu) v = v * std::erfc(-v / std::sqrt(Number(2))) / 2;
      if (f == Activation::gelu_tanh)
        v = v * (1 + std::tanh(std::sqrt(2 / std::acos(Number(-1))) * (v + 0.044715L * v * v * v))) / 2;
      if (f == Activation::silu) v = v / (1 + std::exp(-v));
      if (f == Activation::mish) v = v * std::tanh(std::log1p(std::exp(v)));
      if (f == kSoftmax) sum += v = std::exp(v - high);
    }
    for (Number& v : z) {
      if (f == kSoftmax) v /= sum;
    }
  }

  // What the last layer gives, its own activation (softmax or sigmoid of the loss, too) applied where `activated`.
  std::vector<Number> outputs(std::vector<Number> a, bool activated) const {
    for (std::size_t l = 0; l < w.size(); ++l) {
      std::vector<Number> z = b[l];
      for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < z.size(); ++j) z[j] += a[i] * w[l][i * z.size() + j];
      }
      if (l + 1 < w.size() || activated) activate(z, activations[l]);
      a = z;
    }
    return a;
  }

  bool takes_logits() const {
    return loss == Loss::cross_entropy || loss == Loss::binary_cross_entropy || loss == Loss::focal || loss == Loss::poisson;
  }
  bool is_classifier() const { return loss != Loss::poisson && (takes_logits() || loss == Loss::hinge); }

  Number row_loss(const std::vector<Number>& x, const std::vector<Number>& t) const {
    const std::vector<Number> a = outputs(x, !takes_logits());
    const Number n = static_cast<Number>(a.size());
    Number sum = 0, total = 0;
    for (const Number z : a) sum += std::exp(z);
    Number mine = 0;
    for (std::size_t j = 0; j < a.size(); ++j) mine += t[j] * a[j];  // with labels
    for (std::size_t j = 0; j < a.size(); ++j) {
      const Number e = a[j] - t[j], size = std::fabs(e);
      if (loss == Loss::mae) total += size / n;
      if (loss == Loss::huber) total += (size <= parameter ? e * e / 2 : parameter * (size - parameter / 2)) / n;
      if (loss == Loss::quantile) total += std::max(-parameter * e, (1 - parameter) * e) / n;
      if (loss == Loss::poisson) total += (std::exp(a[j]) - t[j] * a[j]) / n;
      if (loss == Loss::hinge && labels) total += t[j] == 1 ? 0 : std::max(Number(0), 1 - mine + a[j]) / n;
      if (loss == Loss::hinge && !labels) total += std::max(Number(0), 1 - t[j] * a[j]) / n;
      if (loss == Loss::focal) {
        total += t[j] * std::pow(1 - std::exp(a[j]) / sum, parameter) * (std::log(sum) - a[j]);
      }
      if (loss == Loss::mse) total += (a[j] - t[j]) * (a[j] - t[j]) / n;
      if (loss == Loss::quadratic) total += (a[j] - t[j]) * (a[j] - t[j]) / 2;
      if (loss == Loss::cross_entropy) total += ((1 - parameter) * t[j] + parameter / n) * (std::log(sum) - a[j]);
      if (loss == Loss::binary_cross_entropy) total += (std::log1p(std::exp(a[j])) - a[j] * t[j]) / n;
    }
    return total;
  }

  template <class T>
  Number total_loss(const Data<T>& data) const {
    Number total = 0;
    for (Index r = 0; r < data.rows; ++r) total += row_loss(row(data.x, r, data.inputs), target(data, r));
    return total;
  }

  template <class T>
  static std::vector<Number> row(const std::vector<T>& values, Index r, Index cols) {
    return {values.begin() + r * cols, values.begin() + (r + 1) * cols};
  }
  template <class T>
  static std::vector<Number> target(const Data<T>& data, Index r) {
    if (!data.labels) return row(data.y, r, data.outputs);
    std::vector<Number> t(static_cast<std::size_t>(data.outputs));
    t[static_cast<std::size_t>(data.label[static_cast<std::size_t>(r)])] = 1;
    return t;
  }
};

struct Worst {
  long double error = 0, largest = 0;
  void see(long double got, long double want) {
    error = std::isfinite(got) ? std::max(error, std::fabs(got - want)) : INFINITY;
    largest = std::max(largest, std::fabs(want));
  }
  // Relative to the largest of all.
  long double relative() const { return error / largest; }
};

}  // namespace retrograd::testing
