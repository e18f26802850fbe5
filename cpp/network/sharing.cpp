// See sharing.h.
#include "network/sharing.h"

#include <algorithm>

namespace retrograd {

namespace {

// The phases of one batch.
template <class T>
class Phases {
 public:
  Phases(const Pass<T>& pass, const Sharing& sharing)
      : pass_(pass), network_(pass.network()), team_(sharing.team), sharing_(sharing) {}

  bool stopped() const { return sharing_.interrupt.stopped(); }
  Split split() const { return sharing_.split; }

  // body(part, worker) for each piece of the rows: whole groups of panels, as a product takes them.
  template <class F>
  void by_rows(F body) const {
    const Index group = pass_.work().kernels().group, count = panels(pass_.batch()), groups = (count + group - 1) / group;
    team_.each(std::min<Index>(groups, team_.size()), [&](const Share& share, int number) {
      Worker me(sharing_.interrupt, number, sharing_.clocks);
      body(Part{share.begin(groups) * group, std::min(count, share.end(groups) * group)}, me);
    });
  }
  // The same for each piece of so many units, over all rows.
  template <class F>
  void by_units(Index units, F body) const {
    const Index count = panels(units);
    team_.each(std::min<Index>(count, team_.size()), [&](const Share& share, int number) {
      Worker me(sharing_.interrupt, number, sharing_.clocks);
      body(Part{0, panels(pass_.batch()), share.begin(count), share.end(count)}, me);
    });
  }
  // What the caller does alone.
  template <class F>
  void alone(F body) const {
    Worker me(sharing_.interrupt, 0, sharing_.clocks);
    body(me);
  }

  void load(const Rows& x, Selection selection) const {
    by_rows([&](const Part& rows, Worker& me) {
      pass_.load_inputs(x, selection, rows);
      me.tick(Phase::gather);
    });
  }

  // Layer l by its units.
  void forward_units(Index l) const {
    const DenseLayer<T>& layer = network_.layer(l);
    const bool over_units = layer.norm == Norm::layer;
    const auto run = [&](const Part& part, Worker& me) {
      if (pass_.forward_product(l, part, me) && !over_units) pass_.after_product(l, part);
      me.tick(Phase::forward);
    };
    if (layer.activation == Activation::softmax) {  // it runs over all units
      alone([&](Worker& me) { run(pass_.all(), me); });
    } else {
      by_units(layer.fan_out, run);
    }
    if (over_units && !stopped()) {
      by_rows([&](const Part& rows, Worker&) { pass_.after_product(l, rows); });
    }
  }

  // The layers that go by units, after the inputs are there. False: interrupted.
  bool forward_by_units() const {
    const Index end = split() == Split::units ? network_.depth() : 1;
    for (Index l = 0; l < end && !stopped(); ++l) forward_units(l);
    return !stopped();
  }

  // Deltas by units; those of the last layer are there. False: interrupted.
  bool backward_units() const {
    const Index last = network_.depth() - 1;
    for (Index l = last; l >= 0; --l) {
      by_units(network_.layer(l).fan_out, [&](const Part& part, Worker& me) {
        pass_.transpose_deltas(l, part);
        me.tick(Phase::transpose);
      });
      if (l == 0) break;
      if (pass_.work().way().few_rows && l == last) pass_.copy_last_delta_rows();
      const bool over_units = network_.layer(l - 1).norm == Norm::layer;
      by_units(network_.layer(l).fan_in, [&](const Part& part, Worker& me) {
        if (pass_.delta_product(l, part, me) && !over_units) pass_.before_product(l - 1, part);
        me.tick(Phase::delta);
      });
      if (stopped()) return false;
      if (over_units) by_rows([&](const Part& rows, Worker&) { pass_.before_product(l - 1, rows); });
    }
    return true;
  }

 private:
  const Pass<T>& pass_;
  const Network<T>& network_;
  Team& team_;
  const Sharing& sharing_;
};

}  // namespace

template <class T>
bool shared_forward(const Pass<T>& pass, const Sharing& sharing, const Rows& x, Selection selection) {
  const Phases<T> phases(pass, sharing);
  if (sharing.split == Split::units) {
    phases.load(x, selection);
    return phases.forward_by_units();
  }
  phases.by_rows([&](const Part& rows, Worker& me) {
    pass.load_inputs(x, selection, rows);
    pass.forward(rows, me);
  });
  return !phases.stopped();
}

template <class T>
bool shared_backward(const Pass<T>& pass, const Sharing& sharing, const Seed<T>& seed) {
  const Phases<T> phases(pass, sharing);
  const bool units = sharing.split == Split::units;
  phases.by_rows([&](const Part& rows, Worker& me) {
    seed.put(seed.context, pass, rows);
    if (!units) pass.backward(rows, me);
  });
  if (phases.stopped()) return false;
  return units ? phases.backward_units() : true;
}

template <class T>
bool shared_passes(const Pass<T>& pass, const Sharing& sharing, const Rows& x, const Targets& y, Selection selection,
                   double divisor) {
  const Phases<T> phases(pass, sharing);
  const bool by_rows = sharing.split == Split::rows, by_units = sharing.split == Split::units;
  if (!by_rows) {
    phases.load(x, selection);
    if (!phases.forward_by_units()) return false;
  }
  phases.by_rows([&](const Part& rows, Worker& me) {
    if (by_rows) {
      pass.load_inputs(x, selection, rows);
      me.tick(Phase::gather);
    }
    if (!by_units && !pass.forward(rows, me, by_rows ? 0 : 1)) return;
    me.tick(Phase::forward);
    pass.load_targets(y, selection, rows);
    pass.loss(y, divisor, true, rows);
    me.tick(Phase::loss);
    if (!by_units) pass.backward(rows, me);
  });
  if (by_units && !phases.stopped() && !phases.backward_units()) return false;
  phases.alone([](Worker& me) { me.tick(Phase::wait_for_deltas); });
  return !phases.stopped();
}

template <class T>
void shared_gradients(const Pass<T>& pass, const Sharing& sharing, const GradientSink<T>& sink) {
  sharing.team.each([&](const Share& share, int number) {
    pass.gradients(sink, share, sharing.split == Split::first_layer);
    if (sharing.clocks) sharing.clocks[number].tick(sharing.clocks[number].context, Phase::gradients);
  });
}

#define RG_INSTANTIATE(T)                                                                                      \
  template bool shared_forward(const Pass<T>&, const Sharing&, const Rows&, Selection);                        \
  template bool shared_backward(const Pass<T>&, const Sharing&, const Seed<T>&);                               \
  template bool shared_passes(const Pass<T>&, const Sharing&, const Rows&, const Targets&, Selection, double); \
  template void shared_gradients(const Pass<T>&, const Sharing&, const GradientSink<T>&);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
