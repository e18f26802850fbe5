// The optimiser of one network: its settings, its state, and the update of every group of parameters in the next step. The
// arithmetic of a step is kernels/updates.h's. In training it runs behind dw (layers/dense.cpp); gradients.h has it as a pass
// of its own over gradients that are stored.
#pragma once

#include <array>
#include <limits>
#include <vector>

#include "machine/parallel.h"
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
  bool amsgrad = false;    // adam
  bool centered = false;   // rmsprop
  double clip_value = std::numeric_limits<double>::infinity();
  double clip_norm = std::numeric_limits<double>::infinity();  // of all gradients together
};

// The settings of one of ParameterTable's groups: the weights of a layer, or its vectors.
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

  // `groups`: one for each of ParameterTable's groups; empty: the settings hold for all.
  void configure(const OptimizerSettings& settings, const std::vector<GroupSettings>& groups = {});
  const OptimizerSettings& settings() const { return settings_; }

  // The memory that the settings need exists from here on; what it held is kept.
  void prepare();

  // Fills the updates of the next step, at learning rate `lr` (for each group times its factor).
  void begin_step(double lr) {
    if (outdated_ || changes_each_step_ || lr != lr_) fill_updates(lr);
  }
  // The step was taken.
  void end_step() {
    ++steps_;
    if (settings_.rule == Rule::adam) advance_powers();
  }

  bool clips_norm() const { return settings_.clip_norm < std::numeric_limits<double>::infinity(); }
  // Whether one fused update serves all parameters.
  bool uniform() const { return uniform_; }
  // Updates of this step, and the first plane of the state.
  GradientSink<T> sink() const { return {nullptr, plane(0), updates_.data(), uniform_}; }
  const Update<T>& update(Index group) const { return updates_[static_cast<std::size_t>(group)]; }

  // All zero, as before the first step.
  void clear();

  // The state, for those who save or look at it: up to kPlanes arrays laid out as the parameters, null where there is none.
  // Update in kernels/arguments.h says what each of them holds.
  static constexpr int kPlanes = 3;
  T* plane(int i) const {
    return at_[static_cast<std::size_t>(i)] < 0 ? nullptr : state_.data() + at_[static_cast<std::size_t>(i)];
  }
  void make_plane(int i);
  const Arena<T>& state() const { return state_; }
  Index steps() const { return steps_; }
  void set_steps(Index steps);

 private:
  void advance_powers();
  void fill_updates(double lr);
  std::array<bool, kPlanes> planes_needed() const;

  Index count_;
  OptimizerSettings settings_;
  std::vector<GroupSettings> groups_;
  std::vector<Update<T>> updates_;
  Arena<T> state_;
  std::array<Index, kPlanes> at_{-1, -1, -1};  // where each plane begins
  Index steps_ = 0;
  double power1_ = 1, power2_ = 1;  // beta1 and beta2 to the steps-th, as running products: the same bits on every machine
  double lr_ = 0;                   // that of updates_
  bool uniform_ = false, outdated_ = true, changes_each_step_ = false;  // the last: at the same lr
};

// This member's share of the columns of w, after the step of all members: those whose norm is above their layer's limit are
// scaled down to it, but for frozen weights.
template <class T>
void limit_norms(const Network<T>& network, const Optimizer<T>& optimizer, const Member& member);

}  // namespace retrograd
