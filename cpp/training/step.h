// One training step by one member of a team: load a batch, pass forward and backward, update. The epoch around it is
// trainer.h's; the passes are network/passes.h's.
#pragma once

#include "network/passes.h"
#include "training/gradients.h"

namespace retrograd {

// What all steps of an epoch share.
template <class T>
struct StepContext {
  Network<T>& network;
  Workspace<T>& work;
  Optimizer<T>& optimizer;
  // Gradients are stored before they are used: where all must be known first, and in a small network, where one pass over all
  // of it is the faster way for what is not fused. Null: the update runs behind dw.
  StoredGradients<T>* stored;
  std::vector<double>* gradient_norms;  // the norm of each layer's gradient is added here; null: not wanted
  Rows x;
  Targets y;
  const std::uint32_t* order;  // of the rows; null: as they are
  const double* lr;            // the learning rate of each step of the epoch; null: the optimiser's
  bool far;                    // the rows may come from far away: those of the next batch are asked for ahead
  Threads threads;
  const PhaseClock* clocks;  // one for each member, or null
};

enum class StepEnd : int { finished = 0, interrupted, diverged };

template <class T>
class Step {
 public:
  Step(const StepContext<T>& context, const Member& member, InterruptWatch& watch, const Interrupt& interrupt);

  // Step `number` of the epoch, up to the update but for what end() does; `score` is that of its batch. All members come to the
  // same end. Diverged: the batch's loss is not finite, and it is not learned from.
  StepEnd run(Index number, Score& score);

  // Waits for all members; the step is then taken.
  void end();

  // Rows of the batch of step `number`.
  Index rows_of(Index number) const { return std::min(batch_, rows_ - number * batch_); }

 private:
  StepEnd run_small(Index number, Score& score);
  void update(Pass<T>& pass);
  void update_stored(Pass<T>& pass);
  void fetch_next(const Pass<T>* pass, Selection selection, Index number) const;
  Selection selection_of(Index number) const { return {context_.order, number * batch_}; }
  void tick(Phase phase) const {
    if (clock_) clock_->tick(clock_->context, phase);
  }

  const StepContext<T>& context_;
  const Member& me_;
  InterruptWatch& watch_;
  const Interrupt& interrupt_;
  const PhaseClock* clock_;
  Index batch_, rows_;
  Rows answers_;  // labels or rows, as rows to ask for
  bool small_;
};

}  // namespace retrograd
