// The optimiser's state and its step as a pass of its own. (In training the same update runs as the epilogue of dw.)
#pragma once

#include "network.h"

namespace retrograd {

// Stochastic gradient descent's state for one network: the velocity, where there is momentum. Zero at the start.
template <class T>
class SgdState {
 public:
  explicit SgdState(const Network<T>& network) : count_(network.parameters().size()) {}

  // The velocity exists from the first step with momentum on.
  void prepare(const Update<T>& update) {
    if (update.momentum != 0 && !velocity_.data()) velocity_ = Arena<T>(count_);
  }
  const Arena<T>& velocity() const { return velocity_; }
  bool fits(const Network<T>& network) const { return count_ == network.parameters().size(); }
  void clear() { velocity_.clear(); }

 private:
  Index count_;
  Arena<T> velocity_;
};

// parameters <- update(parameters, gradients), as PyTorch's SGD does it (see Update in kernels.h).
template <class T>
void apply_update(Network<T>& network, const Arena<T>& gradients, SgdState<T>& state, const Update<T>& update, int n_threads) {
  state.prepare(update);
  const Arena<T>& parameters = network.parameters();
  const Index lines = parameters.size() / kLanes;
  const double cost = 40.0 * static_cast<double>(parameters.size());  // bound by memory, not by arithmetic
  run_team(team_size(cost / 4, lines, n_threads, 0), [&](const Member& me) {
    const Index i = me.begin(lines) * kLanes, count = me.end(lines) * kLanes - i;
    T* velocity = state.velocity().data() ? state.velocity().data() + i : nullptr;
    network.kernels().update(count, gradients.data() + i, parameters.data() + i, velocity, &update);
  });
  if (network.limits_norms()) {
    run_team(team_size(cost / 4, lines, n_threads, 0), [&](const Member& me) { limit_norms(network, me); });
  }
  ++network.version;
  ++network.steps;
}

}  // namespace retrograd
