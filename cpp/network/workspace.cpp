// See workspace.h.
#include "network/workspace.h"

#include <algorithm>

#include "kernels/dispatch.h"

namespace retrograd {
namespace {

// Returns the batch, or throws where its panels could not be counted.
Index countable(Index batch) {
  checked_panels(batch);
  return batch;
}

}  // namespace

template <class T>
Workspace<T>::Workspace(const Network<T>& network, Index batch, Purpose purpose)
    : Workspace(network, batch, purpose, likely_way(network.shape(), countable(batch), purpose, network.kernels())) {}

template <class T>
Workspace<T>::Workspace(const Network<T>& network, Index batch, Purpose purpose, const Way& way)
    : training(purpose == Purpose::training),
      batch_(countable(batch)),
      way_(way),
      kernels_(way.small ? &kernels_for<T>(batch) : &network.kernels()) {
  make_panels(network, purpose);
  labels_ = Arena<std::int32_t>(checked_multiply(panels(batch), kLanes));
  scores_ = Arena<Score>(panels(batch));
  if (way_.first_rows) {
    rows_ = Arena<const T*>(batch);
    row_buffer_ = Arena<T>(checked_multiply(batch, network.inputs()));
  }
  if (way_.few_rows) make_few_rows(network, purpose);
  if (way_.small) make_small(network, purpose);
  if (purpose == Purpose::by_hand) gradients_ = Arena<T>(network.parameters().size());
}

template <class T>
void Workspace<T>::make_panels(const Network<T>& network, Purpose purpose) {
  const Index count = panels(batch_), depth = network.depth();
  const bool learns = purpose != Purpose::inference, by_hand = purpose == Purpose::by_hand;
  a_.resize(at(depth + 1));
  x_.resize(at(depth + 1));
  z_.resize(at(depth));
  delta_t_.resize(at(depth));
  norms_.resize(at(depth));
  ArenaPlan<T> plan;
  Index widest = 0;
  for (Index i = 0; i <= depth; ++i) {
    const Index units = network.size_of({i}), height = padded_rows(units);
    const bool last = i == depth;
    if (last || (i > 0 ? !way_.few_rows : !way_.first_rows)) plan.panels_of(a_[at(i)], count, height);
    // In training nobody else reads the inputs of a batch, so they are changed in place.
    if (network.perturbs(Level{i}) && (i == 0 ? by_hand : learns)) plan.panels_of(x_[at(i)], count, height);
    if (i == 0) continue;
    const Index l = i - 1;
    if (last || !way_.few_rows) widest = std::max(widest, height);
    const bool needs_z = purpose == Purpose::training && derived_from_z(network.layer(l).activation);
    if (by_hand || (needs_z && (last || !way_.few_rows))) plan.panels_of(z_[at(l)], count, height);
    if (learns) plan.panels_of(delta_t_[at(l)], panels(units), count * kLanes);
  }
  for (Index l = 0; l + 1 < depth && learns; ++l) {
    const DenseLayer<T>& layer = network.layer(l);
    if (layer.norm == Norm::none) continue;
    const bool of_batch = layer.norm == Norm::batch;
    NormState<T>& state = norms_[at(l)];
    const Index wide = panels(layer.fan_out), height = padded_rows(layer.fan_out), rows = of_batch ? 1 : count * kLanes;
    plan.panels_of(state.hat, count, height);
    if (derived_from_z(layer.after_norm)) plan.panels_of(state.z, count, height);
    plan.panels_of(state.rstd, of_batch ? wide : count, 1);
    plan.panels_of(state.dgamma, wide, rows);
    plan.panels_of(state.dbeta, wide, rows);
    if (of_batch) {
      plan.panels_of(state.mean, wide, 1);
      plan.panels_of(state.variance, wide, 1);
    } else {
      plan.panels_of(state.product, count, height);
    }
  }
  for (Panels<T>& delta : delta_) {
    if (learns) plan.panels_of(delta, count, widest);
  }
  plan.panels_of(target_, count, padded_rows(network.outputs()));
  plan.panels_of(row_weights_, count, 1);
  values_ = plan.make();
  for (Index i = 0; i <= depth; ++i) {
    if (!x_[at(i)].data) x_[at(i)] = a_[at(i)];
    drops_.push_back(network.dropout(Level{i}) > 0);
  }
}

template <class T>
void Workspace<T>::make_few_rows(const Network<T>& network, Purpose purpose) {
  const Index depth = network.depth();
  few_a_.resize(at(depth));
  few_z_.resize(at(depth));
  std::vector<FewRows<T>*> all;
  Index total = 0, widest = 0;
  const auto place = [&](FewRows<T>& few, Index stride) {
    few.stride = stride;
    total = checked_add(total, checked_multiply(batch_, stride));
    all.push_back(&few);
  };
  for (Index l = 0; l < depth; ++l) {
    const DenseLayer<T>& layer = network.layer(l);
    const Index stride = panels(layer.fan_out) * kLanes;
    widest = std::max(widest, stride);
    if (l + 1 == depth) break;
    place(few_a_[at(above(l).i)], stride);
    if (purpose == Purpose::training && derived_from_z(layer.activation)) place(few_z_[at(l)], stride);
  }
  for (FewRows<T>& few : few_delta_) {
    if (purpose == Purpose::training) place(few, widest);
  }
  if (total == 0) return;  // there is no hidden layer
  few_values_ = Arena<T>(total);
  few_pointers_ = Arena<const T*>(static_cast<Index>(all.size()) * batch_);
  T* next = few_values_.data();
  const T** pointer = few_pointers_.data();
  for (FewRows<T>* few : all) {
    few->data = next;
    few->rows = pointer;
    for (Index r = 0; r < batch_; ++r) *pointer++ = next + r * few->stride;
    next += batch_ * few->stride;
  }
}

template <class T>
void Workspace<T>::make_small(const Network<T>& network, Purpose purpose) {
  const Index depth = network.depth();
  small_.reserve(at(depth));
  for (Index l = 0; l < depth; ++l) {
    const DenseLayer<T>& layer = network.layer(l);
    small_.push_back({layer.fan_in, layer.fan_out, layer.activation, layer.w, layer.b, a(below(l)).data, a(above(l)).data,
                      delta(l).data, delta_t(l), z(l).data, layer.biased});
  }
  const int lanes = static_cast<int>(batch_);
  const T* parameters = network.parameters().data();
  forward_.reserve(kernels_->small_forward(depth, small_.data(), lanes, nullptr));
  if (purpose != Purpose::training) return;
  backward_.reserve(kernels_->small_backward(depth, small_.data(), lanes, nullptr));
  update_.reserve(kernels_->small_update(depth, small_.data(), lanes, parameters, nullptr, nullptr, nullptr));
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace retrograd
