// See optimizer.h.
#include "training/optimizer.h"

#include <algorithm>
#include <cmath>

namespace retrograd {
namespace {

constexpr Index kPiece = 4096;
constexpr Index kNearBytes = 48 << 10;  // parameters and state that a core finds in L1, or right behind it

// Array 2 l is the weights of layer l, 2 l + 1 its biases: where it begins in the parameters, and its values, padding included.
template <class T>
std::pair<Index, Index> extent(const Network<T>& network, Index array) {
  const DenseLayer<T>& layer = network.layer(array / 2);
  const Index w = layer.w.data - network.parameters().data(), b = layer.b - network.parameters().data();
  return array % 2 == 0 ? std::pair{w, b - w}
                        : std::pair{b, panels(layer.fan_out) * kLanes * (layer.gamma ? 3 : 1)};  // and gamma, beta
}

}  // namespace

template <class T>
Optimizer<T>::Optimizer(const Network<T>& network)
    : sizes_(sizes_of(network)), count_(network.parameters().size()), updates_(static_cast<std::size_t>(2 * network.depth())) {}

template <class T>
std::vector<Index> Optimizer<T>::sizes_of(const Network<T>& network) {
  std::vector<Index> sizes;
  for (Index l = 0; l <= network.depth(); ++l) sizes.push_back(network.size_of(l));
  return sizes;
}

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
  alike_ = settings.rule == Rule::sgd;
  for (const GroupSettings& group : groups_) {
    const GroupSettings& first = groups_.front();
    alike_ = alike_ && !group.frozen && group.lr_factor == first.lr_factor && group.weight_decay == first.weight_decay &&
             group.l1 == first.l1;
  }
  varies_ = settings.rule == Rule::adam || settings.lr_decay != 0 || settings.dampening != 0;
  stale_ = true;
}

template <class T>
std::array<bool, Optimizer<T>::kPlanes> Optimizer<T>::planes_needed() const {
  const OptimizerSettings& s = settings_;
  switch (s.rule) {
    case Rule::sgd:
      return {s.momentum != 0, false, false};
    case Rule::adam:
      return {true, true, s.third};
    case Rule::rmsprop:
      return {true, s.momentum != 0, s.third};
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
  // all in one arena, the first one in front: the kernels reach the others from there
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
  stale_ = true;
}

template <class T>
void Optimizer<T>::advance_powers() {
  constexpr double nothing = 1e-30;  // 1 - it is 1
  power1_ = power1_ * settings_.beta1 < nothing ? 0 : power1_ * settings_.beta1;
  power2_ = power2_ * settings_.beta2 < nothing ? 0 : power2_ * settings_.beta2;
}

template <class T>
void Optimizer<T>::set_steps(Index steps) {
  steps_ = steps;
  power1_ = power2_ = 1;
  const bool counts = settings_.rule == Rule::adam;
  for (Index i = 0; counts && i < steps && (power1_ > 0 || power2_ > 0); ++i) advance_powers();
  stale_ = true;
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
  if (at_[1] >= 0) u.second = at_[1] - at_[0];
  if (at_[2] >= 0 && s.third) u.third = at_[2] - at_[0];
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
    updates_[i].in_cache = bytes <= kNearBytes;
  }
  lr_ = lr;
  stale_ = false;
}

template <class T>
void StoredGradients<T>::prepare(const Network<T>& network, bool own) {
  if (own && own_.size() != network.parameters().size()) own_ = Arena<T>(network.parameters().size());
  if (!pieces_.empty()) return;
  std::vector<Piece> pieces;
  first_piece_.clear();
  for (Index array = 0; array < 2 * network.depth(); ++array) {
    if (array % 2 == 0) first_piece_.push_back(pieces.size());
    const auto [begin, values] = extent(network, array);
    for (Index i = 0; i < values; i += kPiece) pieces.push_back({array, begin + i, std::min(kPiece, values - i)});
  }
  first_piece_.push_back(pieces.size());
  squares_.resize(pieces.size());
  pieces_ = std::move(pieces);
}

template <class T>
void StoredGradients<T>::square(const Network<T>& network, const T* gradients, const Member& member) {
  const auto count = static_cast<Index>(pieces_.size());
  for (Index i = member.begin(count), end = member.end(count); i < end; ++i) {
    const Piece& piece = pieces_[static_cast<std::size_t>(i)];
    squares_[static_cast<std::size_t>(i)] = network.kernels().squares(piece.values, gradients + piece.begin);
  }
}

template <class T>
double StoredGradients<T>::squares_of_layer(Index l) const {
  double sum = 0;
  for (std::size_t i = first_piece_[static_cast<std::size_t>(l)]; i < first_piece_[static_cast<std::size_t>(l) + 1]; ++i) {
    sum += squares_[i];
  }
  return sum;
}

template <class T>
double StoredGradients<T>::scale(const Optimizer<T>& optimizer) const {
  double sum = 0;
  for (std::size_t i = 0; i < squares_.size(); ++i) {
    if (!optimizer.update(pieces_[i].array).frozen) sum += squares_[i];
  }
  const double scale = optimizer.settings().clip_norm / (std::sqrt(sum) + 1e-6);
  return scale < 1 ? scale : 1;
}

template <class T>
void update_pass(const Network<T>& network, const T* gradients, const Optimizer<T>& optimizer, double scale,
                 const Member& member) {
  const Index lines = network.parameters().size() / kLanes;
  const Index from = member.begin(lines) * kLanes, to = member.end(lines) * kLanes;
  T* state = optimizer.plane(0);
  for (Index array = 0; array < 2 * network.depth(); ++array) {
    const auto [begin, values] = extent(network, array);
    const Index i = std::max(from, begin), count = std::min(to, begin + values) - i;
    if (count <= 0 || optimizer.update(array).frozen) continue;
    Update<T> update = optimizer.update(array);
    update.scale = static_cast<T>(scale);
    update.terms = terms_of(update);
    network.kernels().update(count, gradients + i, network.parameters().data() + i, state ? state + i : nullptr, &update);
  }
}

template <class T>
void apply_update(Network<T>& network, const Arena<T>& gradients, Optimizer<T>& optimizer, StoredGradients<T>& stored,
                  int n_threads) {
  optimizer.prepare();
  if (optimizer.clips_norm()) stored.prepare(network, false);
  optimizer.begin_step(optimizer.settings().lr);
  const double cost = 40.0 * static_cast<double>(network.parameters().size());  // bound by memory, not by arithmetic
  run_team(team_size(cost / 4, network.parameters().size() / kLanes, n_threads, 0), [&](const Member& me) {
    double scale = 1;
    if (optimizer.clips_norm()) {
      stored.square(network, gradients.data(), me);
      me.wait();
      scale = stored.scale(optimizer);
    }
    update_pass(network, gradients.data(), optimizer, scale, me);
    if (network.limits_norms()) {
      me.wait();
      limit_norms(network, optimizer.destination().updates, me);
    }
  });
  optimizer.end_step();
  ++network.version;
  ++network.steps;
}

#define RG_INSTANTIATE(T)                                                                             \
  template class Optimizer<T>;                                                                        \
  template class StoredGradients<T>;                                                                  \
  template void update_pass(const Network<T>&, const T*, const Optimizer<T>&, double, const Member&); \
  template void apply_update(Network<T>&, const Arena<T>&, Optimizer<T>&, StoredGradients<T>&, int);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
