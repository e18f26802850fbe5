// The optimiser of one network: its settings, its state, and the update of every array of parameters in the next step. The
// arithmetic of a step is kernels.cpp's; in training it runs behind dw (dense.cpp), or here as a pass of its own over gradients
// that are stored: for the stages by hand, and where all gradients must be known first (clipping by their norm).
#pragma once

#include <array>
#include <limits>
#include <vector>

#include "network/network.h"

namespace retrograd {

// PyTorch's names. What a rule has no use for is ignored.
struct OptimizerSettings {
  Rule rule = Rule::sgd;
  double lr = 0;
  double momentum = 0;  // sgd, rmsprop
  double weight_decay = 0;
  bool nesterov = false;
  double dampening = 0;
  double beta1 = 0;
  double beta2 = 0;  // rmsprop: alpha
  double eps = 0;
  double lr_decay = 0;     // adagrad
  double initial = 0;      // adagrad: of the accumulator
  bool decoupled = false;  // weight decay shrinks the weights instead of adding to their gradient
  bool third = false;      // adam: amsgrad; rmsprop: centered
  double clip_value = std::numeric_limits<double>::infinity();
  double clip_norm = std::numeric_limits<double>::infinity();  // of all gradients together
};

// Of the weights, or the biases, of one layer.
struct GroupSettings {
  double lr_factor = 1;
  double weight_decay = 0;
  double l1 = 0;  // of the absolute values of the weights, added to the loss
  bool frozen = false;
};

template <class T>
class Optimizer {
 public:
  explicit Optimizer(const Network<T>& network);

  // `groups`: for each layer its weights' and its biases'; empty: the settings hold for all.
  void configure(const OptimizerSettings& settings, const std::vector<GroupSettings>& groups = {});
  const OptimizerSettings& settings() const { return settings_; }

  // The memory that the settings need exists from here on; what it held is kept.
  void prepare();

  // The updates of the next step, at learning rate `lr` (for each array times its factor), and that it has been taken.
  void begin_step(double lr) {
    if (stale_ || varies_ || lr != lr_) fill_updates(lr);
  }
  void end_step() {
    ++steps_;
    if (settings_.rule == Rule::adam) advance_powers();
  }

  bool clips_norm() const { return settings_.clip_norm < std::numeric_limits<double>::infinity(); }
  // Whether one fused update serves all parameters.
  bool alike() const { return alike_; }
  // Updates of this step, and the first plane of the state.
  Destination<T> destination() const { return {nullptr, plane(0), updates_.data(), alike_}; }
  const Update<T>& update(Index array) const { return updates_[static_cast<std::size_t>(array)]; }

  bool fits(const Network<T>& network) const { return sizes_ == sizes_of(network) && count_ == network.parameters().size(); }
  // All zero, as before the first step.
  void clear();

  // The state, for those who save or look at it: up to kPlanes arrays laid out as the parameters, null where there is none;
  // which is which says Update in kernels.h.
  static constexpr int kPlanes = 3;
  T* plane(int i) const {
    return at_[static_cast<std::size_t>(i)] < 0 ? nullptr : state_.data() + at_[static_cast<std::size_t>(i)];
  }
  void make_plane(int i);
  const Arena<T>& state() const { return state_; }
  Index steps() const { return steps_; }
  void set_steps(Index steps);

 private:
  static std::vector<Index> sizes_of(const Network<T>& network);
  void advance_powers();
  void fill_updates(double lr);
  std::array<bool, kPlanes> planes_needed() const;

  std::vector<Index> sizes_;
  Index count_;
  OptimizerSettings settings_;
  std::vector<GroupSettings> groups_;
  std::vector<Update<T>> updates_;
  Arena<T> state_;
  std::array<Index, kPlanes> at_{-1, -1, -1};  // where each plane begins
  Index steps_ = 0;
  double power1_ = 1, power2_ = 1;  // beta1 and beta2 to the steps-th, as running products: the same bits on every machine
  double lr_ = 0;                   // that of updates_
  bool alike_ = false, stale_ = true, varies_ = false;  // varies_: from step to step at the same lr
};

// Gradients in memory: their norms, and the update as a pass over them.
template <class T>
class StoredGradients {
 public:
  // Makes the memory; that of the gradients only where `own`.
  void prepare(const Network<T>& network, bool own);
  const Arena<T>& own() const { return own_; }

  // This member's share of the sums of squares, in pieces of fixed size; a barrier must follow.
  void square(const Network<T>& network, const T* gradients, const Member& member);
  // The sum of squares of layer l from the pieces, in their order.
  double squares_of_layer(Index l) const;
  // The factor that brings the norm of all gradients that are used down to clip_norm, as PyTorch's clip_grad_norm_ has it.
  double scale(const Optimizer<T>& optimizer) const;

 private:
  struct Piece {
    Index array, begin, values;
  };
  Arena<T> own_;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> first_piece_;  // of each layer, and the end
  std::vector<double> squares_;
};

// This member's share of parameters <- update(parameters, gradients scaled by `scale`).
template <class T>
void update_pass(const Network<T>& network, const T* gradients, const Optimizer<T>& optimizer, double scale,
                 const Member& member);

// One step against stored gradients, by a team of its own.
template <class T>
void apply_update(Network<T>& network, const Arena<T>& gradients, Optimizer<T>& optimizer, StoredGradients<T>& stored,
                  int n_threads);

}  // namespace retrograd
