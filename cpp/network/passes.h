// The passes over one batch: load, forward, loss, backward and gradients, each for the part of the batch or of the
// units that a call names. How a team shares a batch is in sharing.h; the memory is the workspace's (workspace.h).
#pragma once

#include "base/random.h"
#include "machine/parallel.h"
#include "network/workspace.h"

namespace retrograd {

// What a worker spends its time on in a step.
enum class Phase : int { gather = 0, forward, loss, transpose, delta, wait_for_deltas, gradients, wait_for_gradients };
constexpr int kPhases = 8;

// A clock that is told the end of each phase. The profile uses it, and so runs the very code of training.
struct PhaseClock {
  void (*tick)(void* context, Phase phase) = nullptr;
  void* context = nullptr;
};

// Who does a piece of work: the watch that tells it to stop, and its clock, if it has one.
struct Worker {
  InterruptWatch watch;
  const PhaseClock* clock = nullptr;

  Worker(Interrupt& interrupt, int number = 0, const PhaseClock* clocks = nullptr)
      : watch(interrupt, number), clock(clocks ? clocks + number : nullptr) {}
  void tick(Phase phase) const {
    if (clock) clock->tick(clock->context, phase);
  }
};

// A batch of `batch` rows on its way through the network, or a chunk of one, which begins at its row `first`. Calls for
// different parts may run at the same time. A Part of rows has whole panels of the batch and all units.
template <class T>
class Pass {
 public:
  Pass(const Network<T>& network, const Workspace<T>& work, Index batch, Index first = 0)
      : network_(network), work_(work), batch_(batch), first_(first) {}

  const Network<T>& network() const { return network_; }
  const Workspace<T>& work() const { return work_; }
  Index batch() const { return batch_; }
  Part all() const { return {0, panels(batch_)}; }

  // Loads rows of the inputs; in training it adds noise and dropout.
  void load_inputs(const Rows& x, Selection selection, const Part& rows) const;
  void load_targets(const Targets& y, Selection selection, const Part& rows) const;

  // Computes a (and z) of every layer for some rows; false: interrupted.
  bool forward(const Part& rows, Worker& me, Index first_layer = 0) const;
  // The same for one layer, for a part of the rows or the units; in two halves: the product with its activation,
  // and what follows it (normalisation, dropout).
  bool forward_product(Index l, const Part& part, Worker& me) const;
  void after_product(Index l, const Part& part) const;

  // Computes the scores of some panels, after load_targets(y). If `want_delta`, it also writes the delta of the last
  // layer for the loss of the batch, a sum over its rows divided by `divisor` (divisor_of; 0: every delta is 0).
  void loss(const Targets& y, double divisor, bool want_delta, const Part& rows) const;

  // Computes the deltas of every layer from those of the last one, for some rows, and transposes each for its dw.
  // False: interrupted.
  bool backward(const Part& rows, Worker& me) const;
  // The same for one layer: writes delta_t of layer l, where the product that gave the deltas has not written it;
  // then the deltas below layer l, and what goes back through dropout and normalisation of layer l.
  void transpose_deltas(Index l, const Part& part) const;
  void copy_last_delta_rows() const;
  bool delta_product(Index l, const Part& part, Worker& me) const;
  void before_product(Index l, const Part& part) const;

  // Computes a share of dw and db of every layer, that of the first layer by units if `first_by_units`. A call that has
  // begun runs to its end.
  void gradients(const GradientSink<T>& sink, const Share& share, bool first_by_units = false) const;

  // Moves a share of the running means towards those of the batch, after a forward pass in training.
  void remember_statistics(const Share& share) const;

  // Applies the inputs' dropout mask to dx.
  void drop_input_gradient(Panels<T> dx, const Part& rows) const;

 private:
  Draw draw_of(Stream what, Level level) const;
  void perturb_inputs(const Part& rows) const;
  void drop_level(Level level, Panels<const T> from, Panels<T> to, const Part& part) const;

  const Network<T>& network_;
  const Workspace<T>& work_;
  Index batch_, first_;
};

// A whole batch for a single thread where the workspace's way is small. It does what load_inputs,
// load_targets, forward, loss and backward do in turn, without the questions between them, which would
// take half of the time. It is for targets without row weights.
template <class T>
Score small_pass(const Network<T>& network, const Workspace<T>& work, const Rows& x, const Targets& y, Selection selection,
                 Index batch);

// The gradients of such a batch, as Pass::gradients takes them.
template <class T>
void small_gradients(const Network<T>& network, const Workspace<T>& work, const GradientSink<T>& sink, Index batch) {
  T* beside = sink.updates ? sink.state : sink.gradients;
  work.small_update(static_cast<int>(batch), network.parameters().data(), beside, sink.updates);
}

// Adds the panels' scores in their order.
template <class T>
void add_scores(Score& score, const Workspace<T>& work, Index batch);

}  // namespace retrograd
