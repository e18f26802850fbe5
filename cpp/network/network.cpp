// See network.h.
#include "network/network.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/dispatch.h"
#include "base/random.h"

namespace retrograd {
namespace {

constexpr double kActivationFlops = 40;  // a tanh costs about as much as 20 multiply-adds

Index weight_values(Index fan_in, Index fan_out) {
  return checked_multiply(checked_multiply(panels(fan_out), padded_rows(fan_in)), kLanes);
}

Index add(Index a, Index b) {
  if (a > std::numeric_limits<Index>::max() / 64 - b)
    throw std::length_error("the network or batch is too large: its size overflows");
  return a + b;
}

// panels(lanes), or an error where rounding up would overflow.
Index checked_panels(Index lanes) {
  add(lanes, kLanes);
  return panels(lanes);
}

// Hands out consecutive parts of an arena that is made once all are known.
template <class T>
class Plan {
 public:
  void panels_of(Panels<T>& view, Index count, Index rows) {
    parts_.push_back({&view, total_});
    view.rows = rows;
    total_ = add(total_, checked_multiply(checked_multiply(count, rows), kLanes));
  }
  Arena<T> make() {
    Arena<T> arena(total_);
    for (const Part& part : parts_) part.view->data = arena.data() + part.offset;
    return arena;
  }

 private:
  struct Part {
    Panels<T>* view;
    Index offset;
  };
  std::vector<Part> parts_;
  Index total_ = 0;
};

}  // namespace

template <class T>
Network<T>::Network(const std::vector<Index>& sizes, const std::vector<Activation>& activations, Loss loss,
                    double loss_parameter, Regularisation regularisation)
    : kernels_(active_kernels<T>()),
      depth_(static_cast<Index>(sizes.size()) - 1),
      loss_(loss),
      loss_parameter_(static_cast<T>(loss_parameter)),
      regularisation_(std::move(regularisation)) {
  if (sizes.size() < 2 || activations.size() + 1 != sizes.size()) {
    throw std::invalid_argument("a network needs at least an input size and one layer, and an activation for each layer");
  }
  if (!regularisation_.layers.empty() && regularisation_.layers.size() != activations.size()) {
    throw std::invalid_argument("regularisation: expected one for each layer");
  }
  Index total = 0, statistics = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    if (sizes[l] < 1 || sizes[l + 1] < 1) throw std::invalid_argument("layer sizes must be at least 1");
    for (const Index size : {sizes[l], sizes[l + 1]}) checked_panels(size);
    total = add(total, add(weight_values(sizes[l], sizes[l + 1]), checked_multiply(panels(sizes[l + 1]), kLanes)));
    const Norm own = norm(static_cast<Index>(l) + 1);
    const Index two = checked_multiply(2, panels(sizes[l + 1]) * kLanes);
    if (own != Norm::none) total = add(total, two);
    if (own == Norm::batch) statistics = add(statistics, two);
  }
  parameters_ = Arena<T>(total);
  statistics_ = Arena<T>(statistics);
  T *next = parameters_.data(), *next_statistic = statistics_.data();
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    DenseLayer<T> layer;
    layer.fan_in = sizes[l];
    layer.fan_out = sizes[l + 1];
    layer.activation = activations[l];
    layer.w = {next, padded_rows(layer.fan_in)};
    next += weight_values(layer.fan_in, layer.fan_out);
    layer.b = next;
    const Index width = panels(layer.fan_out) * kLanes;
    next += width;
    layer.norm = norm(static_cast<Index>(l) + 1);
    if (layer.norm != Norm::none) {
      if (l + 2 == sizes.size()) throw std::invalid_argument("normalisation is for hidden layers, not for the last one");
      layer.after_norm = layer.activation;
      layer.activation = Activation::identity;
      layer.gamma = next;
      layer.beta = next + width;
      next += 2 * width;
      std::fill_n(layer.gamma, layer.fan_out, T(1));
      normalises_ = true;
    }
    if (layer.norm == Norm::batch) {
      layer.running_mean = next_statistic;
      layer.running_variance = next_statistic + width;
      next_statistic += 2 * width;
      std::fill_n(layer.running_variance, width, T(1));
      normalises_batch_ = true;
    }
    if (activations[l] == Activation::softmax && l + 2 < sizes.size()) {
      throw std::invalid_argument("softmax is for the last layer only");
    }
    const double products = 2.0 * static_cast<double>(layer.fan_in) * static_cast<double>(layer.fan_out);
    flops_per_row_ += products * (l == 0 ? 2 : 3) +
                      kActivationFlops * static_cast<double>(layer.fan_out) * (layer.norm == Norm::none ? 1 : 2);
    layers_.push_back(layer);
  }
  output_activation_ = activations.back();
  const Activation own = loss_activation();
  if (output_activation_ == own) layers_.back().activation = Activation::identity;
  if (own != Activation::identity && layers_.back().activation != Activation::identity) {
    throw std::invalid_argument("this loss takes logits: the last layer's activation must be identity or the loss's own");
  }
  check_regularisation();
}

template <class T>
void Network<T>::check_regularisation() {
  const Regularisation& r = regularisation_;
  if (!(r.input_noise >= 0) || !std::isfinite(r.input_noise)) {
    throw std::invalid_argument("input_noise: expected a finite number that is not negative");
  }
  for (Index l = 0; l <= depth(); ++l) {
    if (!(dropout(l) >= 0 && dropout(l) < 1)) throw std::invalid_argument("dropout: expected 0 <= dropout < 1");
    perturbs_ |= perturbs(l);
    if (l == 0) continue;
    if (!(max_norm(l) >= 0)) throw std::invalid_argument("max_norm: expected a number that is not negative");
    limits_norms_ |= max_norm(l) > 0;
  }
  if (dropout(depth()) > 0) throw std::invalid_argument("dropout is for hidden layers, not for the last one");
}

template <class T>
DwTarget<T> Network<T>::mirror(Index l, const Destination<T>& to) const {
  const DenseLayer<T>& from = layer(l);
  const Index w = from.w.data - parameters_.data(), b = from.b - parameters_.data();
  DwTarget<T> target;
  if (to.updates) {
    target.update = to.updates + 2 * l;
    target.bias_update = to.updates + 2 * l + 1;
  } else if (to.gradients) {
    target.g = {to.gradients + w, from.w.rows};
    target.g_bias = to.gradients + b;
  }
  if (to.state) {
    target.v = {to.state + w, from.w.rows};
    target.v_bias = to.state + b;
  }
  return target;
}

template <class T>
void fill_weights(Network<T>& network, Index l, Distribution distribution, double scale, std::uint64_t seed) {
  const DenseLayer<T>& layer = network.layer(l);
  const auto stream = static_cast<std::uint32_t>(l);
  const double cost = 200.0 * static_cast<double>(layer.fan_in) * static_cast<double>(layer.fan_out);
  run_team(team_size(cost, layer.fan_in, 0, 0), [&](const Member& me) {
    for (Index r = me.begin(layer.fan_in), end = me.end(layer.fan_in); r < end; ++r) {
      for (Index j = 0; j < layer.fan_out; ++j) {
        const auto element = static_cast<std::uint64_t>(r * layer.fan_out + j);
        const double x = distribution == Distribution::normal ? normal(seed, Stream::weights, stream, element)
                                                              : 2 * uniform(seed, Stream::weights, stream, element) - 1;
        layer.w.row(j / kLanes, r)[j % kLanes] = static_cast<T>(scale * x);
      }
    }
  });
  ++network.version;
}

template <class T>
Index find_nonfinite_layer(const Network<T>& network) {
  const auto finite = network.kernels().finite[static_cast<int>(source_of<T>)];
  for (Index l = 0; l < network.depth(); ++l) {
    const DenseLayer<T>& layer = network.layer(l);
    const T* end = layer.b + panels(layer.fan_out) * kLanes * (layer.gamma ? 3 : 1);  // which follow the weights
    if (!finite(end - layer.w.data, layer.w.data)) return l;
  }
  return -1;
}

namespace {

// Whether the first layer had better read the rows where they are, with lanes = units, than gather them into panels with
// lanes = rows: where such panels would be partly empty, or where the gather is a large share of the layer's work.
template <class T>
bool rows_beat_panels(const Network<T>& network, Index batch) {
  constexpr Index most = 128;  // dw comes back to a line of every row for each tile: they should stay in L1
  if (batch < kLanes) return true;
  const Kernels<T>& kernels = network.kernels();
  // panels without a partner for a tile of two take a third longer
  const Index alone = kernels.group == 2 && panels(batch) % 2 == 1 ? kernels.width / 3 : 0;
  const Index lanes = (batch + kernels.width - 1) / kernels.width * kernels.width + alone;
  const bool ragged = 10 * lanes >= 11 * batch && network.inputs() >= 64;
  const bool much_to_gather = network.inputs() >= 512 && network.size_of(1) <= 128;
  return batch <= most && (ragged || much_to_gather);
}

}  // namespace

template <class T>
Workspace<T>::Workspace(const Network<T>& network, Index batch, Keep keep)
    : training(keep == Keep::training), batch_(batch), kernels_(&network.kernels()) {
  const Index count = checked_panels(batch), depth = network.depth();
  Index widest_hidden = 0, widest_of_all = 0;
  for (Index l = 0; l <= depth; ++l) {
    widest_of_all = std::max(widest_of_all, network.size_of(l));
    if (l > 0 && l < depth) widest_hidden = std::max(widest_hidden, network.size_of(l));
  }
  // dropout, noise and normalisation know panels alone
  const bool perturbs = network.perturbs() && keep == Keep::training, perturbs_inputs = perturbs && network.perturbs(0);
  const bool plain = keep != Keep::everything && !perturbs && !network.normalises();
  few_ = plain && batch < kFewRows && widest_hidden > kLanes;
  const bool small = plain && batch <= kLanes && widest_of_all <= kSmallUnits && !few_;
  const bool by_rows = keep != Keep::everything && !perturbs_inputs && !small && rows_beat_panels(network, batch);
  if (small) kernels_ = &kernels_for<T>(batch);
  const auto size = static_cast<std::size_t>(depth + 1);
  a_.resize(size);
  z_.resize(size);
  delta_t_.resize(size);
  x_.resize(size);
  norms_.resize(size);
  Plan<T> plan;
  Index widest = 0;
  for (Index l = 0; l <= depth; ++l) {
    const Index rows = padded_rows(network.size_of(l));
    const auto i = static_cast<std::size_t>(l);
    if (l == depth || (l > 0 ? !few_ : !by_rows)) plan.panels_of(a_[i], count, rows);
    // nobody else reads the inputs of a batch in training: they are changed in place
    const bool apart = network.perturbs(l) && (l == 0 ? keep == Keep::everything : keep != Keep::forward);
    if (apart) plan.panels_of(x_[i], count, rows);
    if (l == 0) continue;
    if (l == depth || !few_) widest = std::max(widest, rows);
    const bool needs_z = keep == Keep::training && derived_from_z(network.layer(l - 1).activation);
    if (keep == Keep::everything || (needs_z && (l == depth || !few_))) plan.panels_of(z_[i], count, rows);
    if (keep != Keep::forward) plan.panels_of(delta_t_[i], panels(network.size_of(l)), count * kLanes);
  }
  for (Index l = 1; l < depth && keep != Keep::forward; ++l) {
    const Norm norm = network.norm(l);
    if (norm == Norm::none) continue;
    const bool of_batch = norm == Norm::batch;
    NormState<T>& state = norms_[static_cast<std::size_t>(l)];
    const Index wide = panels(network.size_of(l)), rows = of_batch ? 1 : count * kLanes;
    plan.panels_of(state.hat, count, padded_rows(network.size_of(l)));
    if (derived_from_z(network.layer(l - 1).after_norm)) plan.panels_of(state.z, count, padded_rows(network.size_of(l)));
    plan.panels_of(state.rstd, of_batch ? wide : count, 1);
    plan.panels_of(state.dgamma, wide, rows);
    plan.panels_of(state.dbeta, wide, rows);
    if (of_batch) {
      plan.panels_of(state.mean, wide, 1);
      plan.panels_of(state.variance, wide, 1);
    } else {
      plan.panels_of(state.product, count, padded_rows(network.size_of(l)));
    }
  }
  if (keep != Keep::forward) {
    for (Panels<T>& delta : delta_) plan.panels_of(delta, count, widest);
  }
  plan.panels_of(target_, count, padded_rows(network.outputs()));
  plan.panels_of(weights_, count, 1);
  values_ = plan.make();
  for (std::size_t i = 0; i < size; ++i) {
    if (!x_[i].data) x_[i] = a_[i];
    drops_.push_back(network.dropout(static_cast<Index>(i)) > 0);
  }
  labels_ = Arena<std::int32_t>(checked_multiply(count, kLanes));
  scores_ = Arena<Score>(count);
  if (by_rows) {
    rows_ = Arena<const T*>(batch);
    row_buffer_ = Arena<T>(checked_multiply(batch, network.inputs()));
  }
  if (few_) {
    few_a_.resize(size);
    few_z_.resize(size);
    Index widest_row = 0;
    for (Index l = 1; l <= depth; ++l) widest_row = std::max(widest_row, panels(network.size_of(l)) * kLanes);
    Index total = 0;
    const auto place = [&](FewRows<T>& few, Index stride) {
      few.stride = stride;
      total = add(total, checked_multiply(batch, stride));
    };
    const auto needs_z = [&](Index l) { return keep == Keep::training && derived_from_z(network.layer(l - 1).activation); };
    for (Index l = 1; l < depth; ++l) {
      const Index stride = panels(network.size_of(l)) * kLanes;
      place(few_a_[static_cast<std::size_t>(l)], stride);
      if (needs_z(l)) place(few_z_[static_cast<std::size_t>(l)], stride);
    }
    if (keep == Keep::training) {
      for (FewRows<T>& few : few_delta_) place(few, widest_row);
    }
    few_values_ = Arena<T>(total);
    few_pointers_ = Arena<const T*>(2 * depth * batch);
    T* next = few_values_.data();
    const T** pointer = few_pointers_.data();
    const auto fill = [&](FewRows<T>& few) {
      few.data = next;
      few.rows = pointer;
      for (Index r = 0; r < batch; ++r) *pointer++ = next + r * few.stride;
      next += batch * few.stride;
    };
    for (Index l = 1; l < depth; ++l) {
      fill(few_a_[static_cast<std::size_t>(l)]);
      if (needs_z(l)) fill(few_z_[static_cast<std::size_t>(l)]);
    }
    if (keep == Keep::training) {
      for (FewRows<T>& few : few_delta_) fill(few);
    }
  }
  if (small) {
    small_.reserve(size);
    for (Index l = 0; l < depth; ++l) {
      const DenseLayer<T>& layer = network.layer(l);
      small_.push_back({layer.fan_in, layer.fan_out, layer.activation, layer.w, layer.b, a(l).data, a(l + 1).data,
                        delta(l + 1).data, delta_t(l + 1), z(l + 1).data});
    }
    // no list is longer than those for a whole batch: later ones need no memory
    const int lanes = static_cast<int>(batch);
    const T* parameters = network.parameters().data();
    forward_.calls.resize(static_cast<std::size_t>(kernels_->small_forward(depth, small_.data(), lanes, nullptr)));
    if (keep == Keep::training) {
      backward_.calls.resize(static_cast<std::size_t>(kernels_->small_backward(depth, small_.data(), lanes, nullptr)));
      update_.calls.resize(
          static_cast<std::size_t>(kernels_->small_update(depth, small_.data(), lanes, parameters, nullptr, nullptr, nullptr)));
    }
  }
  if (keep == Keep::everything) gradients_ = Arena<T>(network.parameters().size());
}

template <class T>
void Workspace<T>::small_forward(int lanes) const {
  forward_.run({lanes}, [&](SmallCall<T>* calls) {
    return kernels_->small_forward(static_cast<Index>(small_.size()), small_.data(), lanes, calls);
  });
}

template <class T>
void Workspace<T>::small_backward(int lanes) const {
  backward_.run({lanes}, [&](SmallCall<T>* calls) {
    return kernels_->small_backward(static_cast<Index>(small_.size()), small_.data(), lanes, calls);
  });
}

template <class T>
void Workspace<T>::small_update(int lanes, const T* parameters, T* beside, const Update<T>* update) const {
  update_.run({lanes, update ? update->terms : Terms::unknown, beside, update}, [&](SmallCall<T>* calls) {
    return kernels_->small_update(static_cast<Index>(small_.size()), small_.data(), lanes, parameters, beside, update, calls);
  });
}

template <class T>
void load_inputs(const Workspace<T>& work, const Rows& x, Selection selection, Index p0, Index p1, Index batch) {
  if (work.rows()) {
    point_at_rows(work.kernels(), x, selection, p0 * kLanes, std::min(batch, p1 * kLanes), work.row_buffer(), work.rows());
  } else {
    gather_panels(work.kernels(), x, selection, p0, p1, batch, work.a(0));
  }
}

template <class T>
void load_targets(const Workspace<T>& work, const Targets& y, Selection selection, Index p0, Index p1, Index batch) {
  if (y.labels) {
    for (Index i = p0 * kLanes, end = std::min(batch, p1 * kLanes); i < end; ++i) work.labels()[i] = y.labels[selection[i]];
  } else {
    gather_panels(work.kernels(), y.rows, selection, p0, p1, batch, work.target());
  }
  for (Index i = p0 * kLanes, end = std::min(batch, p1 * kLanes); y.weights.data && i < end; ++i) {
    work.weights(0)[i] = *static_cast<const T*>(y.weights.row(selection[i]));
  }
}

template <class T>
double weight_of(const Targets& y, Selection selection, Index batch) {
  if (!y.weights.data) return static_cast<double>(batch);
  double sum = 0;
  for (Index i = 0; i < batch; ++i) sum += static_cast<double>(*static_cast<const T*>(y.weights.row(selection[i])));
  return sum;
}

namespace {

// The numbers of level l (0: the inputs) at this step.
template <class T>
Draw draw_of(const Network<T>& network, const Workspace<T>& work, Stream what, Index l) {
  const Stream stream = stream_of(what, static_cast<std::uint32_t>(l), work.step);
  return {network.regularisation().seed, static_cast<std::uint32_t>(work.step), static_cast<std::uint32_t>(stream)};
}

// to = from with dropout's mask of level l, a part of a batch: its outputs, or the deltas on their way back through it.
template <class T>
void drop_level(const Network<T>& network, const Workspace<T>& work, Index l, Panels<const T> from, Panels<T> to,
                const Part& part, Index batch) {
  const double p = network.dropout(l), words = 0x1p32;
  const auto threshold = static_cast<std::uint32_t>(std::min(std::round(p * words), words - 1));
  const Draw draw = draw_of(network, work, Stream::dropout, l);
  const Index unit = part.begin(), units = part.end(network.size_of(l)) - unit;
  for (Index i = part.p0; i < part.p1; ++i) {
    const int lanes = static_cast<int>(std::min(kLanes, batch - i * kLanes));
    work.kernels().drop(units, lanes, draw, unit, i * kLanes, threshold, static_cast<T>(1 / (1 - p)), from.row(i, unit),
                        to.row(i, unit));
  }
}

}  // namespace

template <class T>
void perturb_inputs(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch) {
  if (!work.training || !network.perturbs(0)) return;
  Panels<const T> from = work.a(0);
  const double deviation = network.regularisation().input_noise;
  if (deviation > 0) {
    const Draw draw = draw_of(network, work, Stream::noise, 0);
    for (Index p = p0; p < p1; ++p) {
      work.kernels().add_noise(network.inputs(), static_cast<int>(std::min(kLanes, batch - p * kLanes)), draw, 0, p * kLanes,
                               static_cast<T>(deviation), from.panel(p), work.x(0).panel(p));
    }
    from = work.x(0);
  }
  if (work.drops(0)) drop_level<T>(network, work, 0, from, work.x(0), {p0, p1}, batch);
}

template <class T>
void drop_input_gradient(const Network<T>& network, const Workspace<T>& work, Panels<T> dx, Index p0, Index p1, Index batch) {
  if (work.drops(0)) drop_level<T>(network, work, 0, dx, dx, {p0, p1}, batch);
}

template <class T>
void limit_norms(const Network<T>& network, const Update<T>* updates, const Member& member) {
  for (Index l = 1; l <= network.depth(); ++l) {
    const double most = network.max_norm(l);
    const DenseLayer<T>& layer = network.layer(l - 1);
    if (most == 0 || updates[2 * (l - 1)].frozen) continue;
    for (Index p = member.begin(panels(layer.fan_out)); p < member.end(panels(layer.fan_out)); ++p) {
      network.kernels().limit_norm(layer.fan_in, layer.w.panel(p), static_cast<T>(most));
    }
  }
}

template <class T>
void remember_statistics(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member) {
  for (Index l = 1; l < network.depth(); ++l) {
    if (network.norm(l) == Norm::batch) norm_remember(network.layer(l - 1), work.norm(l), batch, member);
  }
}

namespace {

template <class T>
bool forward_layer(const Network<T>& network, const Workspace<T>& work, Index l, const Part& part, Index batch, Watch& watch) {
  const Kernels<T>& kernels = work.kernels();
  const DenseLayer<T>& layer = network.layer(l);
  const T* const* rows = work.inputs_as_rows(l);
  if (!rows) return dense_forward<T>(kernels, layer, work.a(l + 1), work.z(l + 1), work.x(l), part, batch, watch);
  return work.few() && l + 1 < network.depth()
             ? dense_forward_few<T>(kernels, layer, work.few_a(l + 1), work.few_z(l + 1), rows, part, batch, watch)
             : dense_forward_rows<T>(kernels, layer, work.a(l + 1), work.z(l + 1), rows, part, batch, watch);
}

// The deltas of layer l - 1 (counted from 1) from those of layer l.
template <class T>
bool delta_layer(const Network<T>& network, const Workspace<T>& work, Index l, const Part& part, Index batch, Watch& watch) {
  const Kernels<T>& kernels = work.kernels();
  const DenseLayer<T>& layer = network.layer(l - 1);
  const Activation below = network.layer(l - 2).activation;
  if (!work.few()) {
    return dense_delta<T>(kernels, layer, work.delta(l - 1), work.delta(l), work.derived_from(l - 1, below), below, part, batch,
                          watch);
  }
  const FewRows<T> from = derived_from_z(below) ? work.few_z(l - 1) : work.few_a(l - 1);
  return dense_delta_few<T>(kernels, layer, work.few_delta(l - 1), work.delta_t(l - 1), work.few_delta(l).rows, from.rows,
                            below, part, batch, watch);
}

// What follows the product of layer l: normalisation with its activation, dropout.
template <class T>
void finish_level(const Network<T>& network, const Workspace<T>& work, Index l, const Part& part, Index batch) {
  const DenseLayer<T>& layer = network.layer(l);
  if (layer.norm != Norm::none) norm_forward<T>(work.kernels(), layer, work.norm(l + 1), work.a(l + 1), part, batch);
  if (work.drops(l + 1)) drop_level<T>(network, work, l + 1, work.a(l + 1), work.x(l + 1), part, batch);
}

// ... and what it does to the deltas of level l on their way back.
template <class T>
void return_level(const Network<T>& network, const Workspace<T>& work, Index l, const Part& part, Index batch) {
  const DenseLayer<T>& layer = network.layer(l - 1);
  const Panels<T> delta = work.delta(l);
  if (work.drops(l)) drop_level<T>(network, work, l, delta, delta, part, batch);
  if (layer.norm != Norm::none) norm_backward<T>(work.kernels(), layer, work.norm(l), delta, work.a(l), part, batch);
}

template <class T>
bool forward_level(const Network<T>& network, const Workspace<T>& work, Index l, const Part& part, Index batch, Watch& watch) {
  if (!forward_layer<T>(network, work, l, part, batch, watch)) return false;
  finish_level<T>(network, work, l, part, batch);
  return true;
}

template <class T>
bool delta_level(const Network<T>& network, const Workspace<T>& work, Index l, const Part& part, Index batch, Watch& watch) {
  if (!delta_layer<T>(network, work, l, part, batch, watch)) return false;
  return_level<T>(network, work, l - 1, part, batch);
  return true;
}

// This member's rows of the batch, where a layer normalises over all units of each.
Part rows_of(Index batch, const Member& member) { return {member.begin(panels(batch)), member.end(panels(batch))}; }

// delta_t(l) where the pass that gave the deltas has not written it.
template <class T>
void turn_delta(const Network<T>& network, const Workspace<T>& work, Index l, const Part& part, Index batch) {
  if (work.few() && l < network.depth()) return;
  transpose_delta<T>(work.kernels(), network.size_of(l), work.delta_t(l), work.delta(l), part, batch);
}

// This member's share of `units` units of all the batch.
Part share_of(Index units, Index batch, const Member& member) {
  return {0, panels(batch), member.begin(panels(units)), member.end(panels(units))};
}

}  // namespace

template <class T>
bool forward_pass(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch, Watch& watch) {
  if (p0 >= p1) return true;
  if (work.small()) {
    work.small_forward(static_cast<int>(batch));
    return !watch.spent(network.flops_per_row() * static_cast<double>(batch));
  }
  for (Index l = 0; l < network.depth(); ++l) {
    if (!forward_level<T>(network, work, l, {p0, p1}, batch, watch)) return false;
  }
  return true;
}

template <class T>
bool forward_pass_split(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member, Watch& watch) {
  bool go_on = true;
  for (Index l = 0; l < network.depth(); ++l) {
    Part part = share_of(network.size_of(l + 1), batch, member);
    if (network.layer(l).activation == Activation::softmax) {  // over all units: one member's work
      part = {0, panels(batch)};
      if (member.id != 0) part.p1 = 0;
    }
    const bool over_units = network.layer(l).norm == Norm::layer;
    if (go_on && part.u0 != part.u1 && part.p1 > 0) {
      go_on = over_units ? forward_layer<T>(network, work, l, part, batch, watch)
                         : forward_level<T>(network, work, l, part, batch, watch);
    }
    member.wait();
    if (over_units) {
      if (go_on) finish_level<T>(network, work, l, rows_of(batch, member), batch);
      member.wait();
    }
  }
  return go_on;
}

template <class T>
bool forward_pass_first_split(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch,
                              const Member& member, Watch& watch) {
  const bool go_on = forward_level<T>(network, work, 0, share_of(network.size_of(1), batch, member), batch, watch);
  member.wait();
  for (Index l = 1; go_on && l < network.depth(); ++l) {
    if (!forward_level<T>(network, work, l, {p0, p1}, batch, watch)) return false;
  }
  return go_on;
}

template <class T>
bool splits_first_layer(const Network<T>& network, const Workspace<T>& work, Index rows, int team, int forced) {
  if (team == 1 || work.few() || network.depth() == 1 || network.normalises()) return false;
  constexpr Index large = 65536;  // bytes
  const DenseLayer<T>& first = network.layer(0);
  const bool equal = panels(first.fan_out) % (work.kernels().group * team) == 0 && panels(rows) >= team;
  return equal && (forced > 0 || first.fan_in * first.fan_out * static_cast<Index>(sizeof(T)) >= large);
}

namespace {

// Of one panel, without weights.
template <class T>
Score sum_of(const T* loss_rows, const T* metric_rows, int lanes) {
  Score score;
  score.weight = lanes;
  for (int i = 0; i < lanes; ++i) {
    score.loss += static_cast<double>(loss_rows[i]);
    score.metric += static_cast<double>(metric_rows[i]);
  }
  return score;
}

}  // namespace

template <class T>
void loss_pass(const Network<T>& network, const Workspace<T>& work, const Targets& y, Index p0, Index p1, Index batch,
               double weight, bool want_delta) {
  const Index depth = network.depth();
  const bool weighted = y.weights.data != nullptr;
  const T scale = weighted ? T(1) : static_cast<T>(1.0 / static_cast<double>(batch));
  const Panels<T> z = work.z(depth);
  alignas(64) T loss_rows[kLanes], metric_rows[kLanes], shares[kLanes];
  for (Index p = p0; p < p1; ++p) {
    const int lanes = static_cast<int>(std::min(kLanes, batch - p * kLanes));
    for (int i = 0; weighted && i < kLanes; ++i) {
      shares[i] = weight > 0 && i < lanes ? static_cast<T>(static_cast<double>(work.weights(p)[i]) / weight) : T(0);
    }
    work.kernels().loss({network.loss(), network.layers().back().activation, network.outputs(), lanes, work.a(depth).panel(p),
                         work.target().panel(p), y.labels ? work.labels() + p * kLanes : nullptr, scale,
                         want_delta ? work.delta(depth).panel(p) : nullptr, loss_rows, metric_rows, network.loss_parameter(),
                         z.data ? z.panel(p) : nullptr, weighted ? shares : nullptr});
    Score score = weighted ? Score{} : sum_of(loss_rows, metric_rows, lanes);
    for (int i = 0; weighted && i < lanes; ++i) {
      const double w = static_cast<double>(work.weights(p)[i]);
      if (w == 0) continue;  // whatever its loss
      score.loss += w * static_cast<double>(loss_rows[i]);
      score.metric += w * static_cast<double>(metric_rows[i]);
      score.weight += w;
    }
    work.scores()[p] = score;
  }
}

template <class T>
Score small_pass(const Network<T>& network, const Workspace<T>& work, const Rows& x, const Targets& y, Selection selection,
                 Index batch) {
  const Kernels<T>& kernels = work.kernels();
  const int lanes = static_cast<int>(batch);
  const void* rows[kLanes];
  Index r = 0;
  do {  // there is a row at least
    rows[r] = x.row(selection[r]);
  } while (++r < batch);
  kernels.gather[static_cast<int>(x.source)](x.cols, lanes, rows, work.a(0).data);
  if (y.labels) {
    for (Index i = 0; i < batch; ++i) work.labels()[i] = y.labels[selection[i]];
  } else {
    for (Index i = 0; i < batch; ++i) rows[i] = y.rows.row(selection[i]);
    kernels.gather[static_cast<int>(y.rows.source)](y.rows.cols, lanes, rows, work.target().data);
  }
  work.small_forward(lanes);
  alignas(64) T loss_rows[kLanes], metric_rows[kLanes];
  const SmallLayer<T>& last = work.small_last();
  kernels.loss({network.loss(), last.activation, last.fan_out, lanes, last.a, work.target().data,
                y.labels ? work.labels() : nullptr, static_cast<T>(1.0 / static_cast<double>(batch)), last.delta, loss_rows,
                metric_rows, network.loss_parameter(), last.z, nullptr});
  work.small_backward(lanes);
  return sum_of(loss_rows, metric_rows, lanes);
}

template <class T>
bool backward_pass(const Network<T>& network, const Workspace<T>& work, Index p0, Index p1, Index batch, Watch& watch) {
  if (p0 >= p1) return true;
  if (work.small()) {
    work.small_backward(static_cast<int>(batch));
    return true;
  }
  const Part part{p0, p1};
  for (Index l = network.depth(); l >= 1; --l) {
    turn_delta<T>(network, work, l, part, batch);
    if (l == 1) break;
    if (work.few() && l == network.depth()) {
      untangle_delta<T>(network.size_of(l), batch, work.few_delta(l), work.delta_t(l));
    }
    if (!delta_level<T>(network, work, l, part, batch, watch)) return false;
  }
  return true;
}

template <class T>
void backward_pass_split(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member, Watch& watch,
                         bool go_on) {
  const Index depth = network.depth();
  for (Index l = depth; l >= 1; --l) {
    if (go_on) turn_delta<T>(network, work, l, share_of(network.size_of(l), batch, member), batch);
    if (l == 1) break;
    if (work.few() && l == depth) {
      member.wait();
      if (go_on && member.id == 0) untangle_delta<T>(network.size_of(l), batch, work.few_delta(l), work.delta_t(l));
      member.wait();
    }
    const Part part = share_of(network.size_of(l - 1), batch, member);
    const bool over_units = network.layer(l - 2).norm == Norm::layer;
    if (go_on && part.u0 != part.u1) {
      go_on = over_units ? delta_layer<T>(network, work, l, part, batch, watch)
                         : delta_level<T>(network, work, l, part, batch, watch);
    }
    member.wait();
    if (over_units) {
      if (go_on) return_level<T>(network, work, l - 1, rows_of(batch, member), batch);
      member.wait();
    }
  }
}

template <class T>
void dw_pass(const Network<T>& network, const Workspace<T>& work, const Destination<T>& to, Index batch, const Member& member,
             bool first_split) {
  if (work.small() && member.size == 1 && (!to.updates || to.alike)) {
    work.small_update(static_cast<int>(batch), network.parameters().data(), to.updates ? to.state : to.gradients, to.updates);
    return;
  }
  for (Index l = network.depth(); l >= 1; --l) {
    const DenseLayer<T>& layer = network.layer(l - 1);
    const DwTarget<T> target = network.mirror(l - 1, to);
    dense_dw<T>(work.kernels(), layer, target, work.x(l - 1), work.inputs_as_rows(l - 1), work.delta_t(l), batch, member,
                first_split && l == 1);
    if (layer.norm == Norm::none) continue;
    const NormState<T> state = work.norm(l);
    const Index rows = NormState<T>::rows(layer.norm, batch);
    dense_db<T>(work.kernels(), layer, target, layer.gamma, state.dgamma, rows, member);
    dense_db<T>(work.kernels(), layer, target, layer.beta, state.dbeta, rows, member);
  }
}

template <class T>
Score batch_score(const Workspace<T>& work, Index batch) {
  Score sum;
  for (Index p = 0; p < panels(batch); ++p) sum += work.scores()[p];
  return sum;
}

#define RG_INSTANTIATE(T)                                                                                                     \
  template class Network<T>;                                                                                                  \
  template bool splits_first_layer(const Network<T>&, const Workspace<T>&, Index, int, int);                                  \
  template void fill_weights(Network<T>&, Index, Distribution, double, std::uint64_t);                                        \
  template Index find_nonfinite_layer(const Network<T>&);                                                                     \
  template class Workspace<T>;                                                                                                \
  template void load_inputs(const Workspace<T>&, const Rows&, Selection, Index, Index, Index);                                \
  template void load_targets(const Workspace<T>&, const Targets&, Selection, Index, Index, Index);                            \
  template double weight_of<T>(const Targets&, Selection, Index);                                                             \
  template void perturb_inputs(const Network<T>&, const Workspace<T>&, Index, Index, Index);                                  \
  template void drop_input_gradient(const Network<T>&, const Workspace<T>&, Panels<T>, Index, Index, Index);                  \
  template void remember_statistics(const Network<T>&, const Workspace<T>&, Index, const Member&);                            \
  template void limit_norms(const Network<T>&, const Update<T>*, const Member&);                                              \
  template bool forward_pass(const Network<T>&, const Workspace<T>&, Index, Index, Index, Watch&);                            \
  template bool forward_pass_split(const Network<T>&, const Workspace<T>&, Index, const Member&, Watch&);                     \
  template void backward_pass_split(const Network<T>&, const Workspace<T>&, Index, const Member&, Watch&, bool);              \
  template void loss_pass(const Network<T>&, const Workspace<T>&, const Targets&, Index, Index, Index, double, bool);         \
  template Score small_pass(const Network<T>&, const Workspace<T>&, const Rows&, const Targets&, Selection, Index);           \
  template bool backward_pass(const Network<T>&, const Workspace<T>&, Index, Index, Index, Watch&);                           \
  template void dw_pass(const Network<T>&, const Workspace<T>&, const Destination<T>&, Index, const Member&, bool);           \
  template bool forward_pass_first_split(const Network<T>&, const Workspace<T>&, Index, Index, Index, const Member&, Watch&); \
  template Score batch_score(const Workspace<T>&, Index);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
