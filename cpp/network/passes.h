// The passes over one batch: load, forward, loss, backward, gradients, each the share of one member of a team. Threads are the
// caller's; memory is the workspace's.
#pragma once

#include "base/random.h"
#include "machine/parallel.h"
#include "network/workspace.h"

namespace retrograd {

// How a team shares a batch. Every split gives the same bits.
//
//   rows         each member takes panels of the batch through all layers; no barrier until the gradients
//   units        each member takes units of every layer, over all the batch: a barrier after each layer. For batches that do not
//                fall into as many equal parts as there are members, and for means over the batch
//   first_layer  units of the first layer (a barrier after it), from there on rows; the first layer's gradients by the same units
enum class Split { rows, units, first_layer };

template <class T>
Split split_for(const Network<T>& network, const Workspace<T>& work, Index batch, int team, Threads threads);

// What one member of a team spends its time on in a step.
enum class Phase : int { gather = 0, forward, loss, transpose, delta, wait_for_deltas, gradients, wait_for_gradients };
constexpr int kPhases = 8;

// A clock that is told the end of each phase: for the profile, which so runs the very code of training.
struct PhaseClock {
  void (*tick)(void* context, Phase phase) = nullptr;
  void* context = nullptr;
};

// One member's part of the passes over `batch` rows. Interrupted or not, every member comes to every barrier of its split.
template <class T>
class Pass {
 public:
  Pass(const Network<T>& network, const Workspace<T>& work, Index batch, const Member& member, InterruptWatch& watch,
       Split split = Split::rows, const PhaseClock* clock = nullptr);

  // This member's panels of the batch.
  Index first_panel() const { return rows_.p0; }
  Index last_panel() const { return rows_.p1; }

  // The inputs; in training with noise and dropout.
  void load_inputs(const Rows& x, Selection selection);
  void load_targets(const Targets& y, Selection selection);

  // a (and z) of every layer; false: interrupted.
  bool forward();

  // Scores of this member's panels, whose targets `y` were loaded, and, if wanted, the delta of the last layer for the mean over
  // the batch, whose rows weigh `weight` together (0: every delta is 0).
  void loss(const Targets& y, double weight, bool want_delta);

  // Deltas of every layer from that of the last, each transposed for its dw. `go_on` false: only to the barriers. False:
  // interrupted.
  bool backward(bool go_on = true);

  // dw and db of every layer; once begun it is finished.
  void gradients(const GradientSink<T>& sink);

  // After a forward pass in training: the running means take in those of the batch.
  void remember_statistics();

  // dx through the mask of the inputs.
  void drop_input_gradient(Panels<T> dx) const;

  // Waits for the team, and books the time as `phase`.
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

// A whole batch where the workspace's way is small, for a single thread: what load_inputs, load_targets, forward, loss and
// backward do in turn, with nothing asked between them, which would be half of the time. For targets without row weights.
template <class T>
Score small_pass(const Network<T>& network, const Workspace<T>& work, const Rows& x, const Targets& y, Selection selection,
                 Index batch);

// The scores of the panels added in their order.
template <class T>
Score batch_score(const Workspace<T>& work, Index batch);

}  // namespace retrograd
