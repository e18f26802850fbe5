// One training step: it loads a batch, passes forward and backward, and updates. The epoch around it is in
// trainer.h; the passes are in network/passes.h, and how a team shares them in network/sharing.h.
#pragma once

#include <algorithm>
#include <cmath>

#include "network/sharing.h"
#include "training/gradients.h"

namespace retrograd {

// What all steps of an epoch share.
template <class T>
struct StepContext {
  Network<T>& network;
  Workspace<T>& work;
  Optimizer<T>& optimizer;
  // Where gradients are stored before they are used: if all must be known before the first update, if
  // their norms are asked for, and in a small network whose update is not uniform, because one pass
  // over all parameters is then faster. Null: the update runs behind dw.
  StoredGradients<T>* stored;
  std::vector<double>* gradient_norms;  // the norm of each layer's gradient is added here; null: not wanted
  Rows x;
  Targets y;
  const std::uint32_t* order;  // the order of the rows; null: as they are
  const double* lr;            // the learning rate of each step of the epoch; null: the optimiser's
  bool far;                    // the data set is far away in memory: the rows of the next batch are prefetched
  Threads threads;
  const PhaseClock* clocks;  // one for each member, or null
  Team& team;
  Interrupt& interrupt;
};

enum class StepEnd : int { finished = 0, interrupted, diverged };

template <class T>
class Step {
 public:
  explicit Step(const StepContext<T>& context);

  // Takes step `number` of the epoch; `score` becomes that of its batch. Diverged means that the loss of the batch is
  // not finite; the step then updates nothing.
  StepEnd run(Index number, Score& score) {
    const StepContext<T>& c = context_;
    c.optimizer.begin_step(c.lr ? c.lr[number] : c.optimizer.settings().lr);
    const StepEnd end = small_ ? run_small(number, score) : run_passes(number, score);
    tick(Phase::wait_for_gradients);
    if (end == StepEnd::finished) c.optimizer.end_step();
    return end;
  }

  // The number of rows in the batch of step `number`.
  Index rows_of(Index number) const { return std::min(batch_, rows_ - number * batch_); }

 private:
  StepEnd run_passes(Index number, Score& score);
  StepEnd run_small(Index number, Score& score);
  void update(const Pass<T>& pass, const Sharing& sharing) const;
  void update_stored(const Pass<T>& pass, const Sharing& sharing) const;
  void fetch_next(Selection selection, Index number, bool answers) const;
  Selection selection_of(Index number) const { return {context_.order, number * batch_}; }
  void tick(Phase phase) const {
    if (context_.clocks) context_.clocks->tick(context_.clocks->context, phase);
  }

  const StepContext<T>& context_;
  InterruptWatch watch_;
  Index batch_, rows_;
  Rows answers_;  // the answers (labels or rows) as rows, for prefetching them
  bool small_;
  bool updates_apart_;  // the update is more than what follows dw
};

// Here, so that it becomes one function with the epoch around it: a step of a small network is some 2000 instructions.
template <class T>
inline StepEnd Step<T>::run_small(Index number, Score& score) {
  const StepContext<T>& c = context_;
  const Index m = rows_of(number);
  const Selection selection = selection_of(number);
  score = small_pass(c.network, c.work, c.x, c.y, selection, m);
  if (c.far) fetch_next(selection, number, true);
  tick(Phase::forward);
  if (watch_.spent(c.network.flops_per_row() * static_cast<double>(m))) return StepEnd::interrupted;
  if (!std::isfinite(score.loss)) return StepEnd::diverged;
  if (updates_apart_) {
    update(Pass<T>(c.network, c.work, m), {c.team, c.interrupt});
  } else {
    small_gradients(c.network, c.work, c.optimizer.sink(), m);
    tick(Phase::gradients);
  }
  return StepEnd::finished;
}

}  // namespace retrograd
