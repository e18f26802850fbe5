// The passes over one batch: load, forward, loss, backward and gradients, each for one member's share.
// The threads are the caller's (machine/parallel.h), the memory is the workspace's (workspace.h).
#pragma once

#include "base/random.h"
#include "machine/parallel.h"
#include "network/workspace.h"

namespace retrograd {

template <class T>
Split split_for(const Network<T>& network, const Workspace<T>& work, Index batch, int team, Threads threads);

// What one member of a team spends its time on in a step.
enum class Phase : int { gather = 0, forward, loss, transpose, delta, wait_for_deltas, gradients, wait_for_gradients };
constexpr int kPhases = 8;

// A clock that is told the end of each phase. The profile uses it, and so runs the very code of training.
struct PhaseClock {
  void (*tick)(void* context, Phase phase) = nullptr;
  void* context = nullptr;
};

// One member's share of the passes over `batch` rows. Whether interrupted or not, every member reaches
// every barrier of its split.
template <class T>
class Pass {
 public:
  Pass(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member, InterruptWatch& watch,
       Split split = Split::rows, const PhaseClock* clock = nullptr);

  // The panels of the batch that this member takes.
  Index first_panel() const { return rows_.p0; }
  Index last_panel() const { return rows_.p1; }

  // Loads the inputs; in training it adds noise and dropout.
  void load_inputs(const Rows& x, Selection selection);
  void load_targets(const Targets& y, Selection selection);

  // Computes a (and z) of every layer; false: interrupted.
  bool forward();

  // Computes the scores of this member's panels, after load_targets(y). If `want_delta`, it also
  // writes the delta of the last layer for the loss of the batch, a sum over its rows divided by
  // `divisor` (divisor_of; 0: every delta is 0).
  void loss(const Targets& y, double divisor, bool want_delta);

  // Computes the deltas of every layer from those of the last one, and transposes each for its dw. If
  // not `go_on`, it only visits the barriers. False: interrupted.
  bool backward(bool go_on = true);

  // Computes dw and db of every layer; a call that has begun runs to its end.
  void gradients(const GradientSink<T>& sink);

  // Moves the running means towards those of the batch, after a forward pass in training.
  void remember_statistics();

  // Applies the inputs' dropout mask to dx.
  void drop_input_gradient(Panels<T> dx) const;

  // Waits for the team, and books the time under `phase`.
  void wait(Phase phase) const {
    member_.wait();
    tick(phase);
  }

 private:
  void tick(Phase phase) const {
    if (clock_) clock_->tick(clock_->context, phase);
  }
  Part units_of(Index units) const { return {0, panels(batch_), member_.begin(panels(units)), member_.end(panels(units))}; }
  Draw draw_of(Stream what, Level level) const;
  void perturb_inputs();
  void drop_level(Level level, Panels<const T> from, Panels<T> to, const Part& part) const;

  bool forward_product(Index l, const Part& part);
  void after_product(Index l, const Part& part);
  bool forward_layer(Index l, const Part& part);
  bool forward_rows();
  bool forward_units();
  bool forward_first_units();

  bool delta_product(Index l, const Part& part);
  void before_product(Index l, const Part& part);
  bool delta_below(Index l, const Part& part);
  void transpose_deltas(Index l, const Part& part);
  bool backward_rows();
  bool backward_units(bool go_on);

  const Network<T>& network_;
  const Workspace<T>& work_;
  Index batch_;
  const Member& member_;
  InterruptWatch& watch_;
  Split split_;
  const PhaseClock* clock_;
  Part rows_;  // this member's panels, all units
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

// The sum of the panels' scores, added in their order.
template <class T>
Score batch_score(const Workspace<T>& work, Index batch);

}  // namespace retrograd
