// See network.h.
#include "network/network.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "kernels/dispatch.h"

namespace retrograd {
namespace {

std::string text_of(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

void refuse(const std::string& what) { throw std::invalid_argument(what); }

std::vector<Norm> norms_of(const Regularisation& regularisation, std::size_t depth) {
  std::vector<Norm> norms(depth, Norm::none);
  for (std::size_t l = 0; l < regularisation.layers.size(); ++l) norms[l] = regularisation.layers[l].norm;
  return norms;
}

// "identity, tanh or softsign", as the table of activations has them.
std::string odd_activations() {
  std::vector<std::string> names;
  for (const ActivationFacts& facts : kActivations) {
    if (facts.odd) names.emplace_back(facts.name);
  }
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

void check_output(Loss loss, Activation output, Index outputs) {
  const LossFacts& facts = facts_of(loss);
  const std::string name = facts.name, got = ", got '" + std::string(facts_of(output).name) + "'";
  const std::string applied = facts_of(facts.applies).name;
  if (facts.applies != Activation::identity && output != Activation::identity && output != facts.applies) {
    refuse("output_activation: " + name + " applies " + applied + " to logits itself; expected identity or " + applied + got);
  }
  if (facts.applies == Activation::softmax && outputs < 2) {
    refuse(name + ": expected at least 2 outputs, got 1 (" + facts_of(Loss::binary_cross_entropy).name + " takes one)");
  }
  if (facts.odd_output && !facts_of(output).odd) {
    refuse("output_activation: " + name + " decides by sign; expected " + odd_activations() + got);
  }
  if (output == Activation::softmax && outputs < 2) {
    refuse("output_activation: softmax over one output is always 1; expected at least 2 outputs, or " +
           std::string(facts_of(Activation::sigmoid).name) + " or identity" + got);
  }
}

}  // namespace

// Refuses everything that can be wrong in the description of a network, before any memory is allocated.
template <class T>
void Network<T>::check(const std::vector<Index>& sizes, const std::vector<Activation>& activations) const {
  const Regularisation& r = regularisation_;
  if (sizes.size() < 2 || activations.size() + 1 != sizes.size()) {
    refuse("a network needs at least an input size and one layer, and an activation for each layer");
  }
  if (!r.layers.empty() && r.layers.size() != activations.size()) refuse("regularisation: expected one for each layer");
  for (const Index size : sizes) {
    if (size < 1) refuse("layers: expected sizes of at least 1, got " + std::to_string(size));
  }
  for (std::size_t l = 0; l + 1 < activations.size(); ++l) {
    const ActivationFacts& facts = facts_of(activations[l]);
    if (facts.last_only) {
      refuse("activation: " + std::string(facts.name) + " is for the last layer alone, got it in a hidden layer");
    }
  }
  check_output(loss_, activations.back(), sizes.back());
  const auto check_dropout = [](double rate) {
    if (!(rate >= 0 && rate < 1)) refuse("dropout: expected a number from 0 to below 1, got " + text_of(rate));
  };
  check_dropout(r.input_dropout);
  if (!(r.input_noise >= 0) || !std::isfinite(r.input_noise)) {
    refuse("input_noise: expected a finite number that is not negative, got " + text_of(r.input_noise));
  }
  for (const LayerRegularisation& layer : r.layers) {
    check_dropout(layer.dropout);
    if (!(layer.max_norm >= 0)) refuse("max_norm: expected a number that is not negative, got " + text_of(layer.max_norm));
  }
  for (std::size_t l = 0; l < r.layers.size(); ++l) {
    if (r.layers[l].norm == Norm::layer && sizes[l + 1] < 2) {
      refuse("norm: normalised over one unit, every row gives 0; expected at least 2 units or norm='batch' in layer " +
             std::to_string(l + 1) + ", got 1 unit");
    }
  }
  const LayerRegularisation last = r.layers.empty() ? LayerRegularisation{} : r.layers.back();
  if (last.dropout > 0) refuse("dropout: it is for hidden layers, got " + text_of(last.dropout) + " for the last one");
  if (last.norm != Norm::none) {
    const char* name = kNorms[static_cast<std::size_t>(last.norm)].name;
    refuse("norm: it is for hidden layers, got '" + std::string(name) + "' for the last one");
  }
}

template <class T>
ParameterTable Network<T>::checked_table(const std::vector<Index>& sizes, const std::vector<Activation>& activations,
                                         const std::vector<bool>& biases) const {
  check(sizes, activations);
  if (!biases.empty() && biases.size() != activations.size()) refuse("biases: expected one for each layer");
  return {sizes, norms_of(regularisation_, activations.size()), biases};
}

template <class T>
Network<T>::Network(const std::vector<Index>& sizes, const std::vector<Activation>& activations, Loss loss,
                    double loss_parameter, Regularisation regularisation, const std::vector<bool>& biases)
    : kernels_(active_kernels<T>()),
      depth_(static_cast<Index>(sizes.size()) - 1),
      loss_(loss),
      loss_parameter_(static_cast<T>(loss_parameter)),
      regularisation_(std::move(regularisation)),
      table_(checked_table(sizes, activations, biases)),
      parameters_(table_.learned_values()),
      statistics_(table_.statistics_values()) {
  Index widest = 0;
  for (std::size_t i = 0; i < biases.size(); ++i) {
    if (!biases[i]) widest = std::max(widest, sizes[i + 1]);
  }
  zeros_ = Arena<T>(panels(widest) * kLanes);
  shape_.sizes = sizes;
  shape_.bytes = sizeof(T);
  shape_.perturbs_inputs = perturbs(Level{0});
  for (std::size_t i = 0; i < activations.size(); ++i) {
    const auto l = static_cast<Index>(i);
    DenseLayer<T> layer;
    layer.fan_in = sizes[i];
    layer.fan_out = sizes[i + 1];
    layer.activation = activations[i];
    layer.norm = norm(l);
    const auto values = [&](ParameterKind kind) {
      const ParameterArray* array = table_.find(kind, l);
      return array ? array->in(arena_of(*array).data()).data : nullptr;
    };
    layer.w = {values(ParameterKind::w), padded_rows(layer.fan_in)};
    layer.b = values(ParameterKind::b);
    layer.biased = layer.b != nullptr;
    if (!layer.biased) layer.b = zeros_.data();
    layer.gamma = values(ParameterKind::gamma);
    layer.beta = values(ParameterKind::beta);
    layer.running_mean = values(ParameterKind::running_mean);
    layer.running_variance = values(ParameterKind::running_var);
    if (layer.norm != Norm::none) {
      layer.after_norm = layer.activation;
      layer.activation = Activation::identity;
      std::fill_n(layer.gamma, layer.fan_out, T(1));
      shape_.normalises = true;
    }
    if (layer.norm == Norm::batch) {
      std::fill_n(layer.running_variance, panels(layer.fan_out) * kLanes, T(1));
      shape_.normalises_batch = true;
    }
    const double products = 2.0 * static_cast<double>(layer.fan_in) * static_cast<double>(layer.fan_out);
    shape_.flops_per_row += products * (l == 0 ? 2 : 3) +
                            kActivationFlops * static_cast<double>(layer.fan_out) * (layer.norm == Norm::none ? 1 : 2);
    shape_.perturbs |= perturbs(below(l));
    limits_norms_ |= max_norm(l) > 0;
    layers_.push_back(layer);
  }
  output_activation_ = activations.back();
  if (output_activation_ == loss_activation()) layers_.back().activation = Activation::identity;
  decision_ = decision_of(targets());
}

template <class T>
LayerSink<T> Network<T>::sink_of(Index l, const GradientSink<T>& sink) const {
  const DenseLayer<T>& from = layer(l);
  const Index w = from.w.data - parameters_.data();
  const Index vectors = table_.groups()[static_cast<std::size_t>(ParameterTable::group_of_vectors(l))].begin;
  LayerSink<T> part;
  part.first = sink.first;
  part.last = sink.last;
  if (sink.chains) {
    part.chains = sink.chains;
    for (Index i = 0; i < l; ++i) {
      part.chains += 4 * table_.groups()[static_cast<std::size_t>(ParameterTable::group_of_vectors(i))].values;
    }
  }
  if (sink.updates) {
    part.update = sink.updates + ParameterTable::group_of_weights(l);
    part.bias_update = sink.updates + ParameterTable::group_of_vectors(l);
  } else if (sink.gradients) {
    part.g = {sink.gradients + w, from.w.rows};
    part.g_bias = sink.gradients + vectors;
  }
  if (sink.state) {
    part.v = {sink.state + w, from.w.rows};
    part.v_bias = sink.state + vectors;
  }
  return part;
}

template <class T>
Index find_nonfinite_layer(const Network<T>& network) {
  const auto finite = network.kernels().finite[static_cast<int>(source_of<T>)];
  for (const UpdateGroup& group : network.table().groups()) {
    if (!finite(group.values, network.parameters().data() + group.begin)) return group.layer;
  }
  return -1;
}

#define RG_INSTANTIATE(T)    \
  template class Network<T>; \
  template Index find_nonfinite_layer(const Network<T>&);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
