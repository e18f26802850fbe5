// See passes.h.
#include "network/passes.h"

#include <algorithm>

#include "layers/dropout.h"
#include "network/panel_loss.h"

namespace retrograd {

// ---------------------------------------------------------------------------------------------- the user's rows

template <class T>
void Pass<T>::load_inputs(const Rows& x, Selection selection, const Part& rows) const {
  if (work_.rows()) {
    point_at_rows(work_.kernels(), x, selection, rows.p0 * kLanes, std::min(batch_, rows.p1 * kLanes), work_.row_buffer(),
                  work_.rows());
  } else {
    gather_panels(work_.kernels(), x, selection, rows.p0, rows.p1, batch_, work_.a(Level{0}));
  }
  if (work_.training && network_.perturbs(Level{0})) perturb_inputs(rows);
}

template <class T>
void Pass<T>::load_targets(const Targets& y, Selection selection, const Part& rows) const {
  const Index begin = rows.p0 * kLanes, end = std::min(batch_, rows.p1 * kLanes);
  if (y.labels) {
    for (Index i = begin; i < end; ++i) work_.labels()[i] = y.labels[selection[i]];
  } else {
    gather_panels(work_.kernels(), y.rows, selection, rows.p0, rows.p1, batch_, work_.target());
  }
  for (Index i = begin; y.row_weights.data && i < end; ++i) work_.row_weights(0)[i] = row_weight<T>(y, selection[i]);
}

// ---------------------------------------------------------------------------------------------- dropout and noise

// Which random numbers a level takes at this step.
template <class T>
Draw Pass<T>::draw_of(Stream what, Level level) const {
  const Stream stream = stream_of(what, static_cast<std::uint32_t>(level.i), work_.step);
  return {network_.regularisation().seed, static_cast<std::uint32_t>(work_.step), static_cast<std::uint32_t>(stream)};
}

template <class T>
void Pass<T>::drop_level(Level level, Panels<const T> from, Panels<T> to, const Part& part) const {
  drop(work_.kernels(), network_.dropout(level), draw_of(Stream::dropout, level), network_.size_of(level), from, to, part,
       batch_, first_);
}

template <class T>
void Pass<T>::perturb_inputs(const Part& rows) const {
  Panels<const T> from = work_.a(Level{0});
  const Panels<T> to = work_.x(Level{0});
  const double deviation = network_.regularisation().input_noise;
  if (deviation > 0) {
    add_noise(work_.kernels(), deviation, draw_of(Stream::noise, Level{0}), network_.inputs(), from, to, rows, batch_, first_);
    from = to;
  }
  if (work_.drops(Level{0})) drop_level(Level{0}, from, to, rows);
}

template <class T>
void Pass<T>::drop_input_gradient(Panels<T> dx, const Part& rows) const {
  if (work_.drops(Level{0})) drop_level(Level{0}, dx, dx, rows);
}

// ---------------------------------------------------------------------------------------------- forward

template <class T>
bool Pass<T>::forward_product(Index l, const Part& part, Worker& me) const {
  const Kernels<T>& kernels = work_.kernels();
  const DenseLayer<T>& layer = network_.layer(l);
  const T* const* rows = work_.inputs_as_rows(l);
  const Panels<T> a = work_.a(above(l)), z = work_.z(l);
  if (!rows) return dense_forward<T>(kernels, layer, a, z, work_.x(below(l)), part, batch_, me.watch);
  if (work_.way().few_rows && l + 1 < network_.depth()) {
    return dense_forward_few_rows<T>(kernels, layer, work_.few_a(above(l)), work_.few_z(l), rows, part, batch_, me.watch);
  }
  return dense_forward_rows<T>(kernels, layer, a, z, rows, part, batch_, me.watch);
}

// Does what follows the product: normalisation with its activation, and dropout.
template <class T>
void Pass<T>::after_product(Index l, const Part& part) const {
  const DenseLayer<T>& layer = network_.layer(l);
  const Panels<T> a = work_.a(above(l));
  if (layer.norm != Norm::none) norm_forward<T>(work_.kernels(), layer, work_.norm(l), a, part, batch_);
  if (work_.drops(above(l))) drop_level(above(l), a, work_.x(above(l)), part);
}

template <class T>
bool Pass<T>::forward(const Part& rows, Worker& me, Index first_layer) const {
  if (work_.way().small) {
    work_.small_forward(static_cast<int>(batch_));
    return !me.watch.spent(network_.flops_per_row() * static_cast<double>(batch_));
  }
  for (Index l = first_layer; l < network_.depth(); ++l) {
    if (!forward_product(l, rows, me)) return false;
    after_product(l, rows);
  }
  return true;
}

// ---------------------------------------------------------------------------------------------- loss

template <class T>
void Pass<T>::loss(const Targets& y, double divisor, bool want_delta, const Part& rows) const {
  const Index last = network_.depth() - 1;
  const Panels<T> z = work_.z(last), a = work_.a(above(last));
  const BatchLoss<T> loss_of(network_, work_.kernels(), divisor, y.row_weights.data != nullptr);
  alignas(64) T losses[kLanes], metrics[kLanes];
  for (Index p = rows.p0; p < rows.p1; ++p) {
    PanelLoss<T> panel{lanes_of(batch_, p), a.panel(p)};
    panel.z = z.data ? z.panel(p) : nullptr;
    panel.target = work_.target().panel(p);
    panel.labels = y.labels ? work_.labels() + p * kLanes : nullptr;
    panel.row_weights = y.row_weights.data ? work_.row_weights(p) : nullptr;
    panel.delta = want_delta ? work_.delta(last).panel(p) : nullptr;
    panel.losses = losses;
    panel.metrics = metrics;
    loss_of(panel);
    work_.scores()[p] = score_of(panel);
  }
}

// ---------------------------------------------------------------------------------------------- backward

// Computes the deltas below layer l from the layer's own.
template <class T>
bool Pass<T>::delta_product(Index l, const Part& part, Worker& me) const {
  const Kernels<T>& kernels = work_.kernels();
  const DenseLayer<T>& layer = network_.layer(l);
  const Activation activation = network_.layer(l - 1).activation;
  if (!work_.way().few_rows) {
    return dense_delta<T>(kernels, layer, work_.delta(l - 1), work_.delta(l), work_.derived_from(l - 1, activation), activation,
                          part, batch_, me.watch);
  }
  const FewRows<T> from = derived_from_z(activation) ? work_.few_z(l - 1) : work_.few_a(below(l));
  return dense_delta_few_rows<T>(kernels, layer, work_.few_delta(l - 1), work_.delta_t(l - 1), work_.few_delta(l).rows,
                                 from.rows, activation, part, batch_, me.watch);
}

// Undoes after_product on the way back: turns the gradient of what the layer gave into that of its z.
template <class T>
void Pass<T>::before_product(Index l, const Part& part) const {
  const DenseLayer<T>& layer = network_.layer(l);
  const Panels<T> delta = work_.delta(l);
  if (work_.drops(above(l))) drop_level(above(l), delta, delta, part);
  if (layer.norm != Norm::none) {
    norm_backward<T>(work_.kernels(), layer, work_.norm(l), delta, work_.a(above(l)), part, batch_);
  }
}

template <class T>
void Pass<T>::transpose_deltas(Index l, const Part& part) const {
  if (work_.way().few_rows && l + 1 < network_.depth()) return;
  transpose_delta<T>(work_.kernels(), network_.layer(l).fan_out, work_.delta_t(l), work_.delta(l), part, batch_);
}

template <class T>
void Pass<T>::copy_last_delta_rows() const {
  const Index last = network_.depth() - 1;
  copy_delta_rows<T>(network_.layer(last).fan_out, batch_, work_.few_delta(last), work_.delta_t(last));
}

template <class T>
bool Pass<T>::backward(const Part& rows, Worker& me) const {
  if (work_.way().small) {
    work_.small_backward(static_cast<int>(batch_));
    return true;
  }
  const Index last = network_.depth() - 1;
  for (Index l = last; l >= 0; --l) {
    transpose_deltas(l, rows);
    me.tick(Phase::transpose);
    if (l == 0) break;
    if (work_.way().few_rows && l == last) copy_last_delta_rows();
    if (!delta_product(l, rows, me)) return false;
    before_product(l - 1, rows);
    me.tick(Phase::delta);
  }
  return true;
}

// ---------------------------------------------------------------------------------------------- gradients

template <class T>
void Pass<T>::gradients(const GradientSink<T>& sink, const Share& share, bool first_by_units) const {
  if (work_.way().small && share.size == 1 && (!sink.updates || sink.uniform)) {
    return small_gradients(network_, work_, sink, batch_);
  }
  for (Index l = network_.depth() - 1; l >= 0; --l) {
    const DenseLayer<T>& layer = network_.layer(l);
    const LayerSink<T> part = network_.sink_of(l, sink);
    dense_dw<T>(work_.kernels(), layer, part, work_.x(below(l)), work_.inputs_as_rows(l), work_.delta_t(l), batch_, share,
                first_by_units && l == 0);
    if (layer.norm == Norm::none) continue;
    const NormState<T> state = work_.norm(l);
    const Index rows = NormState<T>::rows(layer.norm, batch_);
    dense_db<T>(work_.kernels(), layer, part, layer.gamma, state.dgamma, rows, share);
    dense_db<T>(work_.kernels(), layer, part, layer.beta, state.dbeta, rows, share);
  }
}

template <class T>
void Pass<T>::remember_statistics(const Share& share) const {
  for (Index l = 0; l < network_.depth(); ++l) {
    if (network_.norm(l) == Norm::batch) norm_remember(network_.layer(l), work_.norm(l), batch_, share);
  }
}

// ---------------------------------------------------------------------------------------------- small networks

template <class T>
Score small_pass(const Network<T>& network, const Workspace<T>& work, const Rows& x, const Targets& y, Selection selection,
                 Index batch) {
  const Kernels<T>& kernels = work.kernels();
  const int lanes = static_cast<int>(batch);
  const void* rows[kLanes];
  Index r = 0;
  do {  // there is at least one row
    rows[r] = x.row(selection[r]);
  } while (++r < batch);
  kernels.gather[static_cast<int>(x.source)](x.cols, lanes, rows, work.a(Level{0}).data);
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
void add_scores(Score& score, const Workspace<T>& work, Index batch) {
  for (Index p = 0; p < panels(batch); ++p) score += work.scores()[p];
}

#define RG_INSTANTIATE(T)                                                                                           \
  template class Pass<T>;                                                                                           \
  template Score small_pass(const Network<T>&, const Workspace<T>&, const Rows&, const Targets&, Selection, Index); \
  template void add_scores(Score&, const Workspace<T>&, Index);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
