// See optimizer.h.
#include "training/optimizer.h"

#include <algorithm>
#include <cmath>

namespace retrograd {

template <class T>
Optimizer<T>::Optimizer(const Network<T>& network)
    : count_(network.parameters().size()), updates_(network.table().groups().size()) {}

template <class T>
void Optimizer<T>::configure(const OptimizerSettings& settings, const std::vector<GroupSettings>& groups) {
  if (!groups.empty() && groups.size() != updates_.size()) {
    throw std::invalid_argument("expected settings for the weights and biases of each layer");
  }
  groups_ = groups;
  const bool other_powers =
      settings.rule != settings_.rule || settings.beta1 != settings_.beta1 || settings.beta2 != settings_.beta2;
  settings_ = settings;
  if (other_powers) set_steps(steps_);
  uniform_ = settings.rule == Rule::sgd;
  for (const GroupSettings& group : groups_) {
    const GroupSettings& first = groups_.front();
    uniform_ = uniform_ && !group.frozen && group.lr_factor == first.lr_factor && group.weight_decay == first.weight_decay &&
               group.l1 == first.l1;
  }
  changes_each_step_ = settings.rule == Rule::adam || settings.lr_decay != 0 || settings.dampening != 0;
  outdated_ = true;
}

template <class T>
std::array<bool, Optimizer<T>::kPlanes> Optimizer<T>::planes_needed() const {
  const OptimizerSettings& s = settings_;
  switch (s.rule) {
    case Rule::sgd:
      return {s.momentum != 0, false, false};
    case Rule::adam:
      return {true, true, s.amsgrad};
    case Rule::rmsprop:
      return {true, s.momentum != 0, s.centered};
    case Rule::adagrad:
    case Rule::lion:
      return {true, false, false};
  }
  return {};
}

template <class T>
void Optimizer<T>::prepare() {
  const std::array<bool, kPlanes> needed = planes_needed();
  for (int i = 0; i < kPlanes; ++i) {
    if (!needed[static_cast<std::size_t>(i)] || plane(i)) continue;
    make_plane(i);
    if (settings_.rule == Rule::adagrad) std::fill_n(plane(i), count_, static_cast<T>(settings_.initial));
  }
}

template <class T>
void Optimizer<T>::make_plane(int i) {
  if (plane(i)) return;
  // All planes lie in one arena and the first one in front: the kernels reach the others from there.
  Arena<T> larger(checked_multiply(state_.size() / count_ + 1, count_));
  std::array<Index, kPlanes> at{-1, -1, -1};
  Index next = 0;
  for (int k = 0; k < kPlanes; ++k) {
    if (k != i && !plane(k)) continue;
    at[static_cast<std::size_t>(k)] = next;
    if (plane(k)) std::copy_n(plane(k), count_, larger.data() + next);
    next += count_;
  }
  state_ = std::move(larger);
  at_ = at;
  outdated_ = true;
}

template <class T>
void Optimizer<T>::advance_powers() {
  constexpr double nothing = 1e-30;  // subtracting less than this from 1 gives 1
  power1_ = power1_ * settings_.beta1 < nothing ? 0 : power1_ * settings_.beta1;
  power2_ = power2_ * settings_.beta2 < nothing ? 0 : power2_ * settings_.beta2;
}

template <class T>
void Optimizer<T>::set_steps(Index steps) {
  steps_ = steps;
  power1_ = power2_ = 1;
  const bool counts = settings_.rule == Rule::adam;
  for (Index i = 0; counts && i < steps && (power1_ > 0 || power2_ > 0); ++i) advance_powers();
  outdated_ = true;
}

template <class T>
void Optimizer<T>::clear() {
  state_.clear();
  if (settings_.rule == Rule::adagrad && plane(0)) std::fill_n(plane(0), count_, static_cast<T>(settings_.initial));
  set_steps(0);
}

template <class T>
void Optimizer<T>::fill_updates(double lr) {
  const OptimizerSettings& s = settings_;
  double step_lr = lr;
  Update<T> u{};
  u.rule = s.rule;
  u.momentum = static_cast<T>(s.momentum);
  u.nesterov = s.nesterov;
  u.beta1 = static_cast<T>(s.beta1);
  u.beta2 = static_cast<T>(s.beta2);
  u.eps = static_cast<T>(s.eps);
  u.clip = static_cast<T>(s.clip_value);
  if (s.rule == Rule::sgd && steps_ > 0) u.keep = static_cast<T>(1 - s.dampening);  // the first gradient enters whole
  if (s.rule == Rule::adam) {
    step_lr = lr / (1 - power1_ * s.beta1);
    u.correction = static_cast<T>(1 / std::sqrt(1 - power2_ * s.beta2));
  }
  if (s.rule == Rule::adagrad) step_lr = lr / (1 + static_cast<double>(steps_) * s.lr_decay);
  if (at_[1] >= 0) u.to_s1 = at_[1] - at_[0];
  if (at_[2] >= 0 && planes_needed()[2]) u.to_s2 = at_[2] - at_[0];
  const GroupSettings all{1, s.weight_decay, 0, false};
  const Index bytes = (count_ + state_.size()) * static_cast<Index>(sizeof(T));
  for (std::size_t i = 0; i < updates_.size(); ++i) {
    const GroupSettings& group = groups_.empty() ? all : groups_[i];
    updates_[i] = u;
    updates_[i].lr = static_cast<T>(step_lr * group.lr_factor);
    updates_[i].weight_decay = static_cast<T>(s.decoupled ? 0 : group.weight_decay);
    updates_[i].shrink = static_cast<T>(s.decoupled ? 1 - lr * group.lr_factor * group.weight_decay : 1);
    updates_[i].l1 = static_cast<T>(group.l1);
    updates_[i].frozen = group.frozen;
    updates_[i].terms = terms_of(updates_[i]);
    updates_[i].in_cache = bytes <= kInCacheBytes;
  }
  lr_ = lr;
  outdated_ = false;
}

template <class T>
void limit_norms(const Network<T>& network, const Optimizer<T>& optimizer, const Share& share) {
  for (Index l = 0; l < network.depth(); ++l) {
    const double most = network.max_norm(l);
    const DenseLayer<T>& layer = network.layer(l);
    if (most == 0 || optimizer.update(ParameterTable::group_of_weights(l)).frozen) continue;
    for (Index p = share.begin(panels(layer.fan_out)); p < share.end(panels(layer.fan_out)); ++p) {
      network.kernels().limit_norm(layer.fan_in, layer.w.panel(p), static_cast<T>(most));
    }
  }
}

#define RG_INSTANTIATE(T)      \
  template class Optimizer<T>; \
  template void limit_norms(const Network<T>&, const Optimizer<T>&, const Share&);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
