// The epoch: step after step in one team of threads, in the order of its rows. It handles
// interruption and divergence, keeps the weights to go back to, moves a running average along, and
// reports progress. It knows nothing of Python; a single step is in step.h.
#pragma once

#include "data/order.h"
#include "training/snapshot.h"
#include "training/step.h"

namespace retrograd {

template <class T>
struct EpochArgs {
  Rows x;
  Targets y;
  Index batch = 1;
  bool shuffle = false;
  bool drop_last = false;  // leave out a last batch that is smaller than the others
  bool snapshot = true;    // keep a copy of the weights to go back to
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  const double* lr = nullptr;   // the learning rate of each step of the epoch; null: the optimiser's for all
  Index first = 0, last = -1;   // the steps to take, counted from 0; last < 0: up to the end
  bool gradient_norms = false;  // sum up the norms of the gradients
  // A running average of the weights and running statistics: after each step it moves towards them by
  // `tau` of the distance. While its count of steps is 0 it has not begun, and the first step is copied.
  Network<T>* average = nullptr;  // a network with the same arrays; null: there is none
  double tau = 1;
  Threads threads;
  Poll poll;
  const PhaseClock* clocks = nullptr;  // one for each member of the team, which tells it the end of each phase; null: none
  Planning planning;
};

// The steps of an epoch.
inline Index steps_of(Index rows, Index batch, bool drop_last) {
  return rows / batch + (!drop_last && rows % batch > 0 ? 1 : 0);
}

enum class EpochEnd : int { finished = 0, interrupted, diverged };

struct EpochResult {
  EpochEnd end = EpochEnd::finished;
  Score score;          // sums over the rows of the finished steps, with row weights, as each was before its step's update
  Index steps = 0;      // finished steps
  double bad_loss = 0;  // diverged: the loss of the batch that no step learned from, or NaN where a weight is not finite
  Index bad_step = 0;   // diverged: the number of that step in the epoch, counted from 1
  int team = 1;         // the most threads that ran at once
};

// What another thread may read of an epoch while it runs.
struct Progress {
  std::atomic<Index> rows{0};
  std::atomic<double> loss{0};  // sum over those rows; with row weights, their weighted mean so far times the number of rows
};

template <class T>
class Trainer {
 public:
  explicit Trainer(Network<T>& network) : network_(network), planned_(network) {}

  // Passes over the rows once, or takes a part of such a pass; a part uses the order of the whole.
  // Interrupted: the weights are those after the last finished step. Diverged (a loss is not finite, or
  // at the end, with `snapshot`, a weight): with `snapshot` the weights, running statistics and average
  // are those at the start of the epoch (before its step 0) and the optimiser's state is as new; without
  // it the weights are those before the bad batch.
  EpochResult epoch(const EpochArgs<T>& args, Optimizer<T>& optimizer);

  const Progress& progress() const { return progress_; }
  // How steps are done, after the first one.
  const Planned<T>& planned() const { return planned_; }

  // For each layer, the sum of the norms of its gradients (of all its learned arrays together) over the
  // finished steps of the last call, if it asked for them.
  const std::vector<double>& gradient_norms() const { return gradient_norms_; }

 private:
  void prepare(const EpochArgs<T>& args, Optimizer<T>& optimizer);
  void steps(const EpochArgs<T>& args, const StepContext<T>& context, int threads, EpochResult& result);
  void report(const EpochArgs<T>& args, const EpochResult& result, Index rows_done, double loss_before);

  Network<T>& network_;
  Planned<T> planned_;
  EpochOrder order_;
  Snapshot<T> snapshot_, average_snapshot_;  // at the start of the epoch
  StoredGradients<T> stored_;
  std::vector<double> gradient_norms_;
  Progress progress_;
};

}  // namespace retrograd
