// One training step by one plan: it loads a batch, passes forward and backward, and updates. The epoch around it is
// in trainer.h, the choice of the plan in planned.h; the passes are in network/passes.h and network/narrow.h, and how a
// team shares them in network/sharing.h.
#pragma once

#include <algorithm>
#include <cmath>

#include "network/sharing.h"
#include "training/gradients.h"
#include "training/planned.h"

namespace retrograd {

// What all steps of an epoch share.
template <class T>
struct StepContext {
  Network<T>& network;
  Optimizer<T>& optimizer;
  StoredGradients<T>& stored;           // where gradients are stored, if they are (Step::stores)
  std::vector<double>* gradient_norms;  // the norm of each layer's gradient is added here; null: not wanted
  Index batch;
  Rows x;
  Targets y;
  const std::uint32_t* order;  // the order of the rows; null: as they are
  const double* lr;            // the learning rate of each step of the epoch; null: the optimiser's
  bool far;                    // the data set is far away in memory: the rows of the next batch are prefetched
  const PhaseClock* clocks;    // one for each member, or null
  Team& team;
  Interrupt& interrupt;
};

enum class StepEnd : int { finished = 0, interrupted, diverged };

template <class T>
class Step {
 public:
  Step(const StepContext<T>& context, const Plan& plan, const StepMemory<T>& memory);

  // Whether steps by this plan store their gradients before they are used: where all must be known before the first
  // update, where their norms are asked for, where a batch comes in chunks or is narrow, and in a small network whose
  // update is not uniform, because one pass over all parameters is then faster. Else the update runs behind dw.
  static bool stores(const Optimizer<T>& optimizer, bool gradient_norms, const Plan& plan) {
    return gradient_norms || optimizer.clips_norm() || plan.way.narrow || plan.chunk > 0 ||
           (plan.way.small && !optimizer.uniform());
  }

  // Takes step `number` of the epoch, which is step `steps` of the network; `score` becomes that of its batch. Diverged
  // means that the loss of the batch is not finite; the step then updates nothing.
  StepEnd run(Index number, std::uint64_t steps, Score& score) {
    const StepContext<T>& c = context_;
    c.optimizer.begin_step(c.lr ? c.lr[number] : c.optimizer.settings().lr);
    if (work_) work_->step = steps;
    const StepEnd end = small_ ? run_small(number, score) : work_ ? run_passes(number, score) : run_narrow(number, score);
    tick(Phase::wait_for_gradients);
    if (end == StepEnd::finished) c.optimizer.end_step();
    return end;
  }

  // The number of rows in the batch of step `number`.
  Index rows_of(Index number) const { return std::min(context_.batch, rows_ - number * context_.batch); }

 private:
  StepEnd run_small(Index number, Score& score);
  StepEnd run_passes(Index number, Score& score);
  StepEnd run_narrow(Index number, Score& score);
  void update(const Pass<T>& pass, const Sharing& sharing) const;
  void update_stored() const;
  void fetch_next(Selection selection, Index number, bool answers) const;
  Selection selection_of(Index number) const { return {context_.order, number * context_.batch}; }
  void tick(Phase phase) const {
    if (context_.clocks) context_.clocks->tick(context_.clocks->context, phase);
  }

  const StepContext<T>& context_;
  const Plan& plan_;
  Workspace<T>* work_;
  const NarrowWork<T>* narrow_;
  InterruptWatch watch_;
  Index rows_;
  Rows answers_;  // the answers (labels or rows) as rows, for prefetching them
  bool small_;
  bool stores_;
  bool updates_apart_;  // the update is more than what follows dw
};

// Here, so that it becomes one function with the epoch around it: a step of a small network is some 2000 instructions.
template <class T>
inline StepEnd Step<T>::run_small(Index number, Score& score) {
  const StepContext<T>& c = context_;
  const Index m = rows_of(number);
  const Selection selection = selection_of(number);
  score = small_pass(c.network, *work_, c.x, c.y, selection, m);
  if (c.far) fetch_next(selection, number, true);
  tick(Phase::forward);
  if (watch_.spent(c.network.flops_per_row() * static_cast<double>(m))) return StepEnd::interrupted;
  if (!std::isfinite(score.loss)) return StepEnd::diverged;
  if (updates_apart_) {
    update(Pass<T>(c.network, *work_, m), {c.team, c.interrupt});
  } else {
    small_gradients(c.network, *work_, c.optimizer.sink(), m);
    tick(Phase::gradients);
  }
  return StepEnd::finished;
}

}  // namespace retrograd
