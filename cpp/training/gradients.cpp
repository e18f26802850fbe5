// See gradients.h.
#include "training/gradients.h"

#include <algorithm>
#include <cmath>

#include "machine/team.h"
#include "machine/team_choices.h"

namespace retrograd {
namespace {

constexpr Index kPiece = 4096;  // a sum of squares is taken in pieces of this size: its bits depend on it

}  // namespace

template <class T>
void StoredGradients<T>::prepare(const Network<T>& network, bool own, bool chained) {
  if (own && own_.size() != network.parameters().size()) own_ = Arena<T>(network.parameters().size());
  if (chained && !chains_.data()) {
    Index vectors = 0;
    for (Index l = 0; l < network.depth(); ++l) {
      vectors += network.table().groups()[static_cast<std::size_t>(ParameterTable::group_of_vectors(l))].values;
    }
    chains_ = Arena<T>(4 * vectors);
  }
  if (!pieces_.empty()) return;
  std::vector<Piece> pieces;
  first_piece_.clear();
  const std::vector<UpdateGroup>& groups = network.table().groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (static_cast<Index>(first_piece_.size()) == groups[g].layer) first_piece_.push_back(pieces.size());
    for (Index i = 0; i < groups[g].values; i += kPiece) {
      pieces.push_back({static_cast<Index>(g), groups[g].begin + i, std::min(kPiece, groups[g].values - i)});
    }
  }
  first_piece_.push_back(pieces.size());
  squares_.resize(pieces.size());
  pieces_ = std::move(pieces);
}

template <class T>
void StoredGradients<T>::square(const Network<T>& network, const T* gradients, const Share& share) {
  const auto count = static_cast<Index>(pieces_.size());
  for (Index i = share.begin(count), end = share.end(count); i < end; ++i) {
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
    if (!optimizer.update(pieces_[i].group).frozen) sum += squares_[i];
  }
  const double scale = optimizer.settings().clip_norm / (std::sqrt(sum) + 1e-6);
  return scale < 1 ? scale : 1;
}

template <class T>
void update_pass(const Network<T>& network, const T* gradients, const Optimizer<T>& optimizer, double scale,
                 const Share& share) {
  const Index lines = network.parameters().size() / kLanes;
  const Index from = share.begin(lines) * kLanes, to = share.end(lines) * kLanes;
  T* state = optimizer.plane(0);
  const std::vector<UpdateGroup>& groups = network.table().groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const Index i = std::max(from, groups[g].begin), count = std::min(to, groups[g].begin + groups[g].values) - i;
    Update<T> update = optimizer.update(static_cast<Index>(g));
    if (count <= 0 || update.frozen) continue;
    update.scale = static_cast<T>(scale);
    update.terms = terms_of(update);
    network.kernels().update(count, gradients + i, network.parameters().data() + i, state ? state + i : nullptr, &update);
  }
}

template <class T>
void apply_update(Network<T>& network, const Arena<T>& gradients, Optimizer<T>& optimizer, StoredGradients<T>& stored,
                  Threads threads) {
  optimizer.prepare();
  if (optimizer.clips_norm()) stored.prepare(network, false);
  optimizer.begin_step(optimizer.settings().lr);
  const double cost = 40.0 * static_cast<double>(network.parameters().size());  // bound by memory, not by arithmetic
  static TeamChoices choices;                                                   // of the process: all updates are alike
  TeamChoices::Turn turn(&choices, sizeof(T), cost / 4, network.parameters().size() / kLanes, threads);
  Team team(turn.threads());
  double scale = 1;
  if (optimizer.clips_norm()) {
    team.each([&](const Share& share, int) { stored.square(network, gradients.data(), share); });
    scale = stored.scale(optimizer);
  }
  team.each([&](const Share& share, int) { update_pass(network, gradients.data(), optimizer, scale, share); });
  if (network.limits_norms()) team.each([&](const Share& share, int) { limit_norms(network, optimizer, share); });
  turn.end(team.was_late());
  optimizer.end_step();
  ++network.version;
  ++network.steps;
}

#define RG_INSTANTIATE(T)                                                                            \
  template class StoredGradients<T>;                                                                 \
  template void update_pass(const Network<T>&, const T*, const Optimizer<T>&, double, const Share&); \
  template void apply_update(Network<T>&, const Arena<T>&, Optimizer<T>&, StoredGradients<T>&, Threads);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
