// Networks of many shapes, data that fits them, and what a training leaves behind, for the tests of
// whole networks. There is no test here.
#pragma once

#include "network/inference.h"
#include "network/initial.h"
#include "support/helpers.h"
#include "training/trainer.h"

namespace retrograd::testing {

constexpr std::uint64_t kSeed = 5;

struct Spec {
  std::vector<Index> sizes;
  std::vector<Activation> activations;
  Loss loss;
  bool labels = false;
  double parameter = 0;           // of the loss
  std::vector<bool> biases = {};  // which layers have them; empty: all

  std::string describe() const;
};

// The default parameter of a loss, where none is given.
double parameter_of(const Spec& spec);

constexpr Activation kIdentity = Activation::identity, kRelu = Activation::relu, kLeaky = Activation::leaky_relu,
                     kTanh = Activation::tanh, kSigmoid = Activation::sigmoid, kSoftmax = Activation::softmax;

// Odd sizes, sizes of whole panels, reductions longer than a block (192 of float32, 96 of float64), every activation and loss.
std::vector<Spec> specs();

template <class T>
Network<T> make_network(const Spec& spec);

// Rows and answers that go with a network.
template <class T>
struct Data {
  Index rows, inputs, outputs;
  bool labels;
  std::vector<T> x, y;
  std::vector<std::int32_t> label;

  Data(const Spec& spec, Index rows_, std::uint64_t seed = 1);
  static Rows view(const std::vector<T>& values, Index rows, Index cols) {
    return {values.data(), rows, cols, cols * static_cast<Index>(sizeof(T)), source_kind<T>};
  }
  Rows inputs_view() const { return view(x, rows, inputs); }
  Targets targets() const {
    Targets t;
    if (labels) {
      t.labels = label.data();
    } else {
      t.rows = view(y, rows, outputs);
    }
    return t;
  }
  // The rows that `order` names, from `start` on.
  Data batch(const std::vector<std::uint32_t>& order, Index start, Index count) const;
};

template <class T>
std::vector<T> copy_of(const Arena<T>& arena) {
  return {arena.data(), arena.data() + arena.size()};
}

// Row-major values, read from panels whose lanes are the rows of a batch.
template <class T>
std::vector<T> unpacked(Panels<T> panels_, Index rows, Index units);

// The same from panels whose lanes are units: weights, gradients, transposed deltas.
template <class T>
std::vector<T> unpacked_lanes(Panels<T> panels_, Index rows, Index units);

template <class T>
EpochArgs<T> arguments(const Data<T>& data, Index batch) {
  EpochArgs<T> args;
  args.x = data.inputs_view();
  args.y = data.targets();
  args.batch = batch;
  args.shuffle = true;
  args.seed = kSeed;
  return args;
}

// Stochastic gradient descent, which the tests of training use unless they say otherwise.
OptimizerSettings sgd(double lr = 0.05, double momentum = 0.9, double weight_decay = 0.001, bool nesterov = false);

// Stochastic gradient descent with everything at once.
OptimizerSettings every_term_of_sgd();

OptimizerSettings settings_of(Rule rule, double lr = 0.003);

template <class T>
Optimizer<T> make_optimizer(const Network<T>& network, const OptimizerSettings& settings = sgd()) {
  Optimizer<T> optimizer(network);
  optimizer.configure(settings);
  return optimizer;
}

// What epochs leave behind. `velocity` is all of the optimiser's state.
template <class T>
struct Trained {
  std::vector<T> parameters, velocity;
  double loss = 0, metric = 0;

  bool operator==(const Trained& other) const {
    return same(parameters, other.parameters) && same(velocity, other.velocity) && same(loss, other.loss) &&
           same(metric, other.metric);
  }
};

template <class T>
Trained<T> trained(const Spec& spec, EpochArgs<T> args, int forced, const OptimizerSettings& settings = sgd());

// Teams, and batches to try them with; they must not change a bit.
constexpr int kTeams[] = {1, 2, 3, 4, 7};

std::vector<Index> batches();

// Rows for a batch size: more than one batch of them, the last one smaller.
inline Index rows_for(Index batch) { return batch < 100 ? 2 * batch + (batch + 1) / 2 : batch + 17; }

// FNV-1a over the bits of all weights and biases in row-major order, whatever their layout in memory.
template <class T>
std::uint64_t weights_hash(const Network<T>& network);

}  // namespace retrograd::testing
