// A network in long double with libm, without blocks, panels or threads, and how far the real one is
// from it. There is no test here.
#pragma once

#include "support/networks.h"

namespace retrograd::testing {

// A network in long double with libm and the real network's weights. It computes the
// losses of rows and nothing else.
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

  static void activate(std::vector<Number>& z, Activation f);

  // What the last layer gives. If `activated`, its own activation (also the loss's
  // softmax or sigmoid) is applied.
  std::vector<Number> outputs(std::vector<Number> a, bool activated) const;

  bool takes_logits() const {
    return loss == Loss::cross_entropy || loss == Loss::binary_cross_entropy || loss == Loss::focal || loss == Loss::poisson;
  }
  bool is_classifier() const { return loss != Loss::poisson && (takes_logits() || loss == Loss::hinge); }

  Number row_loss(const std::vector<Number>& x, const std::vector<Number>& t) const;

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
  // The distance relative to the largest of all.
  long double relative() const { return error / largest; }
};

}  // namespace retrograd::testing
