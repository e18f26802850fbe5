// The three objects that Python holds (a network, its optimiser, its trainer), each with the checks
// that a call makes first. Their functions are not here: network.cpp, optimizer.cpp and trainer.cpp
// have them and register each class.
#pragma once

#include "bindings/batch.h"
#include "bindings/users.h"
#include "network/stages.h"
#include "training/trainer.h"

namespace retrograd {

template <class T>
struct PyNetwork {
  PyNetwork(const std::vector<Index>& sizes, const std::vector<Activation>& activations, Loss loss, double loss_parameter,
            Regularisation regularisation, const std::vector<bool>& biases)
      : network(sizes, activations, loss, loss_parameter, std::move(regularisation), biases), stages(network) {}

  // Guards that a call holds while it runs.
  NetworkUse alone() { return {users, NetworkUse::alone}; }
  NetworkUse shared() { return {users, NetworkUse::reading}; }

  Threads threads(int n_threads) const { return {n_threads, exactly}; }

  // Whether work on so many rows is done within a call that keeps the GIL and looks for no signal.
  bool takes_quickly(Index rows) const {
    return exactly == 0 && network.flops_per_row() * static_cast<double>(rows) <= kQuickFlops;
  }

  void check_layer(Index l) const {
    if (l < 0 || l >= network.depth()) {
      throw py::index_error("layer " + std::to_string(l) + " of " + std::to_string(network.depth()));
    }
  }
  // The array of that name. With `learned` it must have a gradient.
  const ParameterArray& array_of(const std::string& name, Index l, bool learned) const {
    check_layer(l);
    for (const ParameterArray& array : network.table().arrays()) {
      if (array.layer == l && name_of(array.kind) == name && (array.learned() || !learned)) return array;
    }
    throw py::key_error("layer " + std::to_string(l) + " has no " + (learned ? "learned " : "") + "array '" + name + "'");
  }
  void need_forward() const {
    if (!stages.has_forward()) throw std::runtime_error("nothing there yet: call forward(X) first");
  }
  void need_backward() const {
    if (!stages.has_backward())
      throw std::runtime_error("there are no gradients of the last forward pass: call backward(y) after forward(X)");
  }
  // A backward pass needs activations that belong to the present weights.
  void need_fresh_forward() const {
    need_forward();
    if (stages.version() != network.version) {
      throw std::runtime_error("the weights have changed since forward(X): call it again before backward()");
    }
  }

  Network<T> network;
  Stages<T> stages;
  SpareWorkspace<T> spare;
  NetworkUsers users;
  int exactly = 0;    // for tests only: the size of the team in every call; 0: no such wish
  Planning planning;  // for tests only: another way to choose plans than by measuring
};

// Who uses an optimiser or a trainer uses its network, so these have no count of users of their own.
template <class T>
struct PyOptimizer {
  explicit PyOptimizer(PyNetwork<T>& network_) : network(network_), optimizer(network_.network) {}

  void check_network(const PyNetwork<T>& other) const {
    if (&other != &network) throw std::invalid_argument("the optimiser belongs to another network");
  }
  void check_plane(int i) const {
    if (i < 0 || i >= Optimizer<T>::kPlanes) throw py::index_error("plane " + std::to_string(i));
  }

  PyNetwork<T>& network;
  Optimizer<T> optimizer;
  StoredGradients<T> stored;  // for a step by hand
};

template <class T>
struct PyTrainer {
  explicit PyTrainer(PyNetwork<T>& network_) : network(network_), trainer(network_.network) {}

  PyNetwork<T>& network;
  Trainer<T> trainer;
  BatchBuffers<T> buffers;  // for a step's batch
  int team = 0;             // threads of the last epoch or part of one
};

template <class T>
void define_network(py::class_<PyNetwork<T>>& network);
template <class T>
void define_optimizer(py::class_<PyOptimizer<T>>& optimizer);
void register_optimizer_settings(py::module_& m);
void register_trainers(py::module_& m);

}  // namespace retrograd
