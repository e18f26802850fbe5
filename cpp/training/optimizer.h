// The optimiser of one network: its settings, its state, and the update of every group of parameters in
// the next step; and the limit on the norms of weights after a step. The arithmetic of the rules is not
// here (kernels/updates.h). In training an update runs behind dw (layers/dense.cpp) or as a pass over
// stored gradients (gradients.h).
#pragma once

#include <array>
#include <limits>
#include <vector>

#include "machine/parallel.h"
#include "network/network.h"

namespace retrograd {

// The settings by PyTorch's names. A rule ignores those that it has no use for.
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
  double initial = 0;      // adagrad: what the accumulator begins with
  bool decoupled = false;  // weight decay shrinks the weights instead of adding to their gradient
  bool amsgrad = false;    // adam
  bool centered = false;   // rmsprop
  double clip_value = std::numeric_limits<double>::infinity();
  double clip_norm = std::numeric_limits<double>::infinity();  // for the norm of all gradients together
};

// The settings of one of ParameterTable's groups: a layer's weights, or its vectors.
struct GroupSettings {
  double lr_factor = 1;
  double weight_decay = 0;
  double l1 = 0;  // what the sum of the weights' absolute values is multiplied by in the loss
  bool frozen = false;
};

template <class T>
class Optimizer {
 public:
  explicit Optimizer(const Network<T>& network);

  // `groups` has one entry for each of ParameterTable's groups; if it is empty,
  // `settings` holds for all of them.
  void configure(const OptimizerSettings& settings, const std::vector<GroupSettings>& groups = {});
  const OptimizerSettings& settings() const { return settings_; }
  void set_rate(double lr) { settings_.lr = lr; }

  // Makes sure that the planes which the settings need exist; what they hold is kept.
  void prepare();

  // Fills the updates of the next step, at learning rate `lr` times each group's factor.
  void begin_step(double lr) {
    if (outdated_ || changes_each_step_ || lr != lr_) fill_updates(lr);
  }
  // Counts the step as taken.
  void end_step() {
    ++steps_;
    if (settings_.rule == Rule::adam) advance_powers();
  }

  bool clips_norm() const { return settings_.clip_norm < std::numeric_limits<double>::infinity(); }
  // Whether one fused update serves all parameters, none of them frozen.
  bool uniform() const { return uniform_; }
  // The updates of this step with the first plane of the state.
  GradientSink<T> sink() const { return {nullptr, plane(0), updates_.data(), uniform_}; }
  const Update<T>& update(Index group) const { return updates_[static_cast<std::size_t>(group)]; }

  // Sets the state back to what it is before the first step (zero; adagrad's accumulator to `initial`).
  void clear();

  // The state, for code that saves or shows it: up to kPlanes arrays laid out as the parameters; null
  // where a plane is not used. Update in kernels/arguments.h says what each of them holds.
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
  // beta1 and beta2 to the power of steps_, as running products: so they have the same bits on every machine.
  double power1_ = 1, power2_ = 1;
  double lr_ = 0;                                                       // the learning rate that updates_ were filled for
  bool uniform_ = false, outdated_ = true, changes_each_step_ = false;  // the last: even if lr stays the same
};

// Scales the columns of w whose norm is above their layer's limit down to it, for this share
// of the columns. It must follow the step of all members. Frozen weights are left alone.
template <class T>
void limit_norms(const Network<T>& network, const Optimizer<T>& optimizer, const Share& share);

}  // namespace retrograd
