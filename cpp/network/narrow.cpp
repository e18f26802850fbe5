// See narrow.h.
#include "network/narrow.h"

#include <algorithm>

namespace retrograd {

namespace {

// f(panel, panels, lanes) for the panels of `units` units that one call of a product takes.
template <class T, class F>
void each_group(const Kernels<T>& kernels, Index units, F f) {
  for (Index p = 0, count = panels(units); p < count; p += kernels.group) {
    f(p, lanes_of(units, p, std::min(count, p + kernels.group)));
  }
}

}  // namespace

// Asks for rows between the products, a few each time. They go to L2, as L1 is too small for them beside the chunk at work.
class Fetching {
 public:
  Fetching(const NarrowRows& batch, Ahead ahead, Index products)
      : x_(batch.x), y_(batch.y.rows), selection_(batch.selection), next_(ahead.begin), end_(ahead.end) {
    if (batch.y.labels) y_ = {batch.y.labels, batch.x.rows, 1, sizeof(std::int32_t), Source::float32};
    if (next_ < end_) each_ = (end_ - next_ + products - 1) / products;
  }
  void some() {
    if (next_ >= end_) return;
    const Index end = std::min(end_, next_ + each_);
    fetch_ahead(x_, selection_, next_, end, Cache::l2);
    fetch_ahead(y_, selection_, next_, end, Cache::l2);
    next_ = end;
  }

 private:
  Rows x_, y_;
  Selection selection_;
  Index next_, end_, each_ = 0;
};

template <class T>
NarrowWork<T>::NarrowWork(const Network<T>& network, Index rows)
    : network_(network), kernels_(network.kernels()), rows_(checked_multiply(checked_panels(rows), kLanes)) {
  const Index depth = network.depth();
  a_.resize(at(depth + 1));
  z_.resize(at(depth));
  delta_.resize(at(depth));
  wt_.resize(at(depth));
  sums_.resize(at(depth));
  dwt_.resize(at(depth));
  ArenaPlan<T> plan;
  const Index height = padded_rows(rows_);
  for (Index i = 0; i <= depth; ++i) plan.panels_of(a_[at(i)], panels(network.size_of({i})), height);
  plan.panels_of(target_, panels(network.outputs()), height);
  for (Index l = 0; l < depth; ++l) {
    const DenseLayer<T>& layer = network.layer(l);
    const Index in = panels(layer.fan_in), out = panels(layer.fan_out);
    each_group(kernels_, layer.fan_out, [&](Index, int) { ++products_; });
    if (l > 0) each_group(kernels_, layer.fan_in, [&](Index, int) { ++products_; });
    plan.panels_of(delta_[at(l)], out, height);
    plan.panels_of(sums_[at(l)], out, 4);
    const auto cost = [&](Index count, Index lanes) { return count * ((lanes + kernels_.width - 1) / kernels_.width); };
    if (cost(layer.fan_out, layer.fan_in) < cost(layer.fan_in, layer.fan_out)) plan.panels_of(dwt_[at(l)], in, layer.fan_out);
    if (l > 0) plan.panels_of(wt_[at(l)], in, padded_rows(out * kLanes));
    if (l + 1 < depth && derived_from_z(layer.activation)) plan.panels_of(z_[at(l)], out, height);
  }
  values_ = plan.make();
  scores_ = Arena<Score>(panels(rows_));
  plan_gradients();
}

// Blocks are 16 rows by the lanes of one call. Where they are few, a piece is a tile of one, so that a team shares them evenly.
template <class T>
void NarrowWork<T>::plan_gradients() {
  for (Index l = 0; l < network_.depth(); ++l) {
    const DenseLayer<T>& layer = network_.layer(l);
    const Index rows = turned(l) ? layer.fan_out : layer.fan_in;
    each_group(kernels_, turned(l) ? layer.fan_in : layer.fan_out, [&](Index p, int lanes) {
      for (Index row = 0; row < rows; row += kLanes) {
        blocks_.push_back({l, row, std::min(kLanes, rows - row), p, lanes, layer.biased && row == 0 && (!turned(l) || p == 0)});
      }
    });
  }
  for (const Piece& block : blocks_) {
    const Kernels<T>& kernels = kernels_.of(block.lanes);
    const Index tile = block.lanes <= kernels.width ? 2 * kernels.mr : kernels.mr;
    const Index parts = blocks_.size() >= kNarrowPieces ? 1 : (block.rows + tile - 1) / tile;
    for (Index i = 0; i < parts; ++i) {
      Piece piece = block;
      piece.row += cut(block.rows, parts, i);
      piece.rows = cut(block.rows, parts, i + 1) - cut(block.rows, parts, i);
      piece.biases = block.biases && i == 0;
      pieces_.push_back(piece);
    }
  }
  const auto work = [](const Piece& piece) { return piece.rows * piece.lanes; };
  std::sort(pieces_.begin(), pieces_.end(), [&](const Piece& a, const Piece& b) { return work(a) > work(b); });
}

template <class T>
void NarrowWork<T>::turn_weights() const {
  for (Index l = 1; l < network_.depth(); ++l) {
    const DenseLayer<T>& layer = network_.layer(l);
    for (Index q = 0; q < panels(layer.fan_in); ++q) {
      const int rows = lanes_of(layer.fan_in, q);
      for (Index p = 0; p < panels(layer.fan_out); ++p) {
        kernels_.of(kLanes).transpose(rows, lanes_of(layer.fan_out, p), layer.w.row(p, q * kLanes),
                                      wt_[at(l)].row(q, p * kLanes));
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- forward and back

template <class T>
void NarrowWork<T>::copy(const Rows& x, Selection selection, Index begin, Index end, Panels<T> to) const {
  const Index first = selection.start + begin;
  kernels_.narrow_rows[static_cast<int>(x.source)](x.cols, end - begin, selection.order ? x.data : x.row(first), x.stride,
                                                   selection.order ? selection.order + first : nullptr, to.at(0, begin));
}

template <class T>
void NarrowWork<T>::forward_layers(const NarrowRows& batch, Index begin, Index end, Fetching& fetching) const {
  copy(batch.x, batch.selection, begin, end, a_.front());
  const Index depth = network_.depth();
  for (Index l = 0; l < depth; ++l) {
    const DenseLayer<T>& layer = network_.layer(l);
    const bool last = l + 1 == depth;  // its activation may run over all units
    each_group(kernels_, layer.fan_out, [&](Index p, int lanes) {
      kernels_.of(lanes).narrow_forward(layer.fan_in, end - begin, lanes, a_[at(l)].at(0, begin), layer.w.at(p, 0),
                                        layer.b + p * kLanes, a_[at(l + 1)].at(p, begin), z_[at(l)].at(p, begin),
                                        last ? Activation::identity : layer.activation);
      fetching.some();
    });
  }
}

// Transposes numbers of the outputs, of the 16 rows of panel p, to lanes = rows: [units][16]; whole panels of units are
// written.
template <class T>
void NarrowWork<T>::turn_outputs(Panels<const T> from, Index p, T* to) const {
  const Index units = network_.outputs();
  for (Index j = 0; j < panels(units); ++j) {
    kernels_.of(kLanes).transpose(kLanes, lanes_of(units, j), from.row(j, p * kLanes), to + j * kLanes * kLanes);
  }
}

template <class T>
void NarrowWork<T>::losses(const NarrowRows& batch, Index begin, Index end) const {
  const Index units = network_.outputs(), last = network_.depth() - 1;
  const Activation activation = network_.layer(last).activation;
  const bool weighted = batch.y.row_weights.data != nullptr;
  const BatchLoss<T> loss_of(network_, kernels_, batch.divisor, weighted);
  constexpr Index room = kSmallUnits * kLanes;
  alignas(64) T a[room], z[room], target[room], delta[room];
  alignas(64) T losses[kLanes], metrics[kLanes], row_weights[kLanes];
  alignas(64) std::int32_t labels[kLanes] = {};
  PanelLoss<T> panel{0, a};
  panel.losses = losses;
  panel.metrics = metrics;
  if (derived_from_z(activation)) panel.z = z;
  if (weighted) panel.row_weights = row_weights;
  if (batch.y.labels) {
    panel.labels = labels;
  } else {
    panel.target = target;
  }
  panel.delta = delta;
  for (Index r = begin; r < end; r += kLanes) {
    panel.lanes = static_cast<int>(std::min(kLanes, end - r));
    turn_outputs(a_.back(), r / kLanes, a);
    if (panel.z) std::copy_n(a, units * kLanes, z);
    kernels_.activate(units, panel.lanes, a, activation);
    if (panel.target) turn_outputs(target_, r / kLanes, target);
    for (int i = 0; panel.labels && i < panel.lanes; ++i) labels[i] = batch.y.labels[batch.selection[r + i]];
    for (int i = 0; weighted && i < panel.lanes; ++i) row_weights[i] = row_weight<T>(batch.y, batch.selection[r + i]);
    loss_of(panel);
    scores_.data()[r / kLanes] = score_of(panel);
    for (Index j = 0; j < panels(units); ++j) {
      kernels_.of(kLanes).transpose(lanes_of(units, j), kLanes, delta + j * kLanes * kLanes, delta_[at(last)].row(j, r));
    }
  }
}

template <class T>
void NarrowWork<T>::forward_backward(const NarrowRows& batch, Index begin, Index end, Ahead ahead) const {
  const Index rows = end - begin;
  Fetching fetching(batch, ahead, products_);
  if (!batch.y.labels) copy(batch.y.rows, batch.selection, begin, end, target_);
  forward_layers(batch, begin, end, fetching);
  losses(batch, begin, end);
  for (Index l = network_.depth() - 1; l > 0; --l) {
    const DenseLayer<T>& layer = network_.layer(l);
    const Activation activation = network_.layer(l - 1).activation;
    const Panels<T> a = derived_from_z(activation) ? z_[at(l - 1)] : a_[at(l)];
    each_group(kernels_, layer.fan_in, [&](Index q, int lanes) {
      kernels_.of(lanes).narrow_delta(layer.fan_out, rows, lanes, delta_[at(l)].at(0, begin), wt_[at(l)].at(q, 0),
                                      delta_[at(l - 1)].at(q, begin), a.at(q, begin), activation);
      fetching.some();
    });
  }
}

// ---------------------------------------------------------------------------------------------- gradients

template <class T>
void NarrowWork<T>::gradients(const Piece& piece, Index rows, T* into, bool first) const {
  const Index l = piece.layer;
  const DenseLayer<T>& layer = network_.layer(l);
  const Panels<T> delta = delta_[at(l)], g = {into + (layer.w.data - network_.parameters().data()), layer.w.rows};
  const Panels<T> x = turned(l) ? delta : a_[at(l)], d = turned(l) ? a_[at(l)] : delta, to = turned(l) ? dwt_[at(l)] : g;
  kernels_.of(piece.lanes)
      .narrow_dw(piece.rows, rows, piece.lanes, x.panel(piece.row / kLanes) + piece.row % kLanes, d.at(piece.p0, 0),
                 to.at(piece.p0, piece.row), first);
  if (!piece.biases) return;
  const Index p0 = turned(l) ? 0 : piece.p0, p1 = panels(turned(l) ? layer.fan_out : p0 * kLanes + piece.lanes);
  for (Index p = p0; p < p1; ++p) {
    const int units = lanes_of(layer.fan_out, p);
    kernels_.of(units).db_part(rows, units, delta.panel(p), sums_[at(l)].panel(p), first);
  }
}

template <class T>
void NarrowWork<T>::gradients(Index piece, Index rows, T* into, bool first) const {
  gradients(pieces_[at(piece)], rows, into, first);
}

template <class T>
void NarrowWork<T>::gradients(Index rows, T* into, bool first) const {
  for (const Piece& block : blocks_) gradients(block, rows, into, first);
}

template <class T>
void NarrowWork<T>::turn_dw(Index l, Panels<T> g) const {
  const DenseLayer<T>& layer = network_.layer(l);
  alignas(64) T block[kLanes * kLanes];
  for (Index q = 0; q < panels(layer.fan_in); ++q) {
    const int rows = lanes_of(layer.fan_in, q);
    for (Index p = 0; p < panels(layer.fan_out); ++p) {
      kernels_.of(kLanes).transpose(lanes_of(layer.fan_out, p), rows, dwt_[at(l)].row(q, p * kLanes), block);
      std::copy_n(block, rows * kLanes, g.row(p, q * kLanes));
    }
  }
}

template <class T>
void NarrowWork<T>::finish(T* into) const {
  for (Index l = 0; l < network_.depth(); ++l) {
    const DenseLayer<T>& layer = network_.layer(l);
    if (turned(l)) turn_dw(l, {into + (layer.w.data - network_.parameters().data()), layer.w.rows});
    T* g = into + (layer.b - network_.parameters().data());
    for (Index p = 0; layer.biased && p < panels(layer.fan_out); ++p) {
      kernels_.db(4, sums_[at(l)].panel(p), g + p * kLanes, nullptr, nullptr, nullptr);
    }
  }
}

template class NarrowWork<float>;
template class NarrowWork<double>;

}  // namespace retrograd
