// A network: its layers over one arena of parameters, its loss, its regularisation, and the checks that
// these fit together. The passes over it are not here (passes.h), nor how its weights start (initial.h), nor what trains it
// (training/).
#pragma once

#include <vector>

#include "base/arena.h"
#include "layers/dense.h"
#include "network/parameters.h"
#include "network/plan.h"

namespace retrograd {

// A place between layers: 0 is the inputs, l + 1 the outputs of layer l. It has a type of its own so
// that it cannot be mistaken for the number of a layer; layers count from 0.
struct Level {
  Index i;
};
constexpr Level below(Index layer) { return {layer}; }      // what the layer reads
constexpr Level above(Index layer) { return {layer + 1}; }  // what the layer gives

// Settings that keep a layer from learning its rows by heart.
struct LayerRegularisation {
  double dropout = 0;      // hidden layers: in training each output is 0 with this probability, else divided by its complement
  double max_norm = 0;     // after an update no unit's incoming weights have a larger norm; 0: no limit
  Norm norm = Norm::none;  // hidden layers only
};

struct Regularisation {
  double input_dropout = 0;
  double input_noise = 0;  // standard deviation of the noise on the inputs in training, which is added before dropout
  std::vector<LayerRegularisation> layers;  // one for each layer, or none at all
  std::uint64_t seed = 0;                   // of the random numbers that training draws
};

// Where the gradients of all layers go. They are stored in `gradients`, or, where `updates` are given
// (one for each of ParameterTable's groups), they go straight into the parameters. All arrays are
// laid out as the parameters.
template <class T>
struct GradientSink {
  T* gradients = nullptr;
  T* state = nullptr;  // the first plane of the state; null where the rule has none
  const Update<T>* updates = nullptr;
  bool uniform = false;  // one fused update serves all groups, and nothing is frozen

  // A batch that is done in chunks stores its gradients, and each chunk but the first goes on from the sums so far. The
  // four chains of each sum over rows wait in `chains`: four numbers for each of the layers' vectors.
  bool first = true, last = true;  // of the chunks
  T* chains = nullptr;
};

template <class T>
class Network {
 public:
  // `sizes` lists the inputs, then the units of each layer; `activations` has one for each layer;
  // base/kinds.h names `loss_parameter`; `biases` says which layers have them (empty: all). Where they do not fit, it
  // throws std::invalid_argument with what was expected and got.
  Network(const std::vector<Index>& sizes, const std::vector<Activation>& activations, Loss loss, double loss_parameter = 0,
          Regularisation regularisation = {}, const std::vector<bool>& biases = {});

  const std::vector<DenseLayer<T>>& layers() const { return layers_; }
  const DenseLayer<T>& layer(Index l) const { return layers_[static_cast<std::size_t>(l)]; }
  Index depth() const { return depth_; }
  Index inputs() const { return layers_.front().fan_in; }
  Index outputs() const { return layers_.back().fan_out; }
  Index size_of(Level level) const { return level.i == 0 ? inputs() : layer(level.i - 1).fan_out; }
  const Kernels<T>& kernels() const { return kernels_; }

  Loss loss() const { return loss_; }
  T loss_parameter() const { return loss_parameter_; }
  // What the loss takes as answers, and how outputs become decisions.
  TargetKind targets() const { return facts_of(loss_).targets_of(outputs()); }
  Decision decision() const { return decision_; }
  bool picks_one() const { return decision_ == Decision::label; }  // it picks one of its outputs
  // What the loss applies to the outputs before it compares them.
  Activation loss_activation() const { return facts_of(loss_).applies; }
  // The last layer's activation as the user sees it. Where the loss applies it, the activation of the
  // layer itself is identity: its outputs are logits.
  Activation output_activation() const { return output_activation_; }

  const ParameterTable& table() const { return table_; }
  const Arena<T>& parameters() const { return parameters_; }  // the learned arrays
  const Arena<T>& statistics() const { return statistics_; }  // the running means and variances
  const Arena<T>& arena_of(const ParameterArray& array) const { return array.learned() ? parameters_ : statistics_; }
  // Layer l's part of a sink.
  LayerSink<T> sink_of(Index l, const GradientSink<T>& sink) const;

  // Multiply-add flops of one row of a training step, with a charge for activations. Between a third
  // and a half of it is the forward pass.
  double flops_per_row() const { return shape_.flops_per_row; }
  // What decides how a step is done.
  const Shape& shape() const { return shape_; }

  const Regularisation& regularisation() const { return regularisation_; }
  // The probability that a number of this level is dropped in training.
  double dropout(Level level) const { return level.i == 0 ? regularisation_.input_dropout : of_layer(level.i - 1).dropout; }
  double max_norm(Index l) const { return of_layer(l).max_norm; }
  Norm norm(Index l) const { return of_layer(l).norm; }
  // Whether training changes what the next layer reads of a level; without an argument, of any level.
  bool perturbs(Level level) const { return dropout(level) > 0 || (level.i == 0 && regularisation_.input_noise > 0); }
  bool perturbs() const { return shape_.perturbs; }
  bool normalises() const { return shape_.normalises; }              // any layer does
  bool normalises_batch() const { return shape_.normalises_batch; }  // any layer does over the rows of the batch
  bool limits_norms() const { return limits_norms_; }                // any layer does

  // Counts the changes of the parameters.
  std::uint64_t version = 0;
  // Counts the updates that the network has learned from. Together with the seed it fixes the
  // numbers that training draws.
  std::uint64_t steps = 0;

 private:
  void check(const std::vector<Index>& sizes, const std::vector<Activation>& activations) const;
  ParameterTable checked_table(const std::vector<Index>& sizes, const std::vector<Activation>& activations,
                               const std::vector<bool>& biases) const;
  LayerRegularisation of_layer(Index l) const {
    return regularisation_.layers.empty() ? LayerRegularisation{} : regularisation_.layers[static_cast<std::size_t>(l)];
  }

  const Kernels<T>& kernels_;
  Index depth_;
  Loss loss_;
  T loss_parameter_;
  Regularisation regularisation_;
  ParameterTable table_;
  std::vector<DenseLayer<T>> layers_;
  Arena<T> parameters_, statistics_;
  Arena<T> zeros_;  // what the sums of layers without biases begin with
  Decision decision_ = Decision::nothing;
  Activation output_activation_ = Activation::identity;
  Shape shape_;
  bool limits_norms_ = false;
};

// The first layer that has a learned number which is not finite, or -1.
template <class T>
Index find_nonfinite_layer(const Network<T>& network);

}  // namespace retrograd
