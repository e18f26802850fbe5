// The epoch: shuffle, gather, forward, loss, backward, update, batch after batch in one team of threads, with two barriers
// a batch (more where the units of each layer are split). Looks after interruption and divergence. Knows nothing of Python.
#pragma once

#include "optimizer.h"

namespace retrograd {

template <class T>
struct EpochArgs {
  Rows x;
  Targets y;
  Index batch = 1;
  bool shuffle = false;
  bool snapshot = true;  // keep a copy of the weights to go back to
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  Update<T> update{};
  int n_threads = 0;  // 0: no wish
  int forced = 0;     // > 0: this very team, for tests
  Poll poll;
};

enum class EpochEnd : int { finished = 0, interrupted, diverged };

struct EpochResult {
  EpochEnd end = EpochEnd::finished;
  Score score;          // sums over the rows of the finished steps, as each was seen before its update, with their weights
  Index steps = 0;      // finished steps
  double bad_loss = 0;  // diverged: the loss of the batch that was not learned from, NaN where it was a weight
  Index bad_step = 0;   // ... and its number, counted from 1
  int team = 1;         // threads that ran
};

// What a reader of the progress may see while the epoch runs.
struct Progress {
  std::atomic<Index> rows{0};
  std::atomic<double> loss{0};  // sum over those rows; with weights their mean so far times the rows
};

template <class T>
class Trainer {
 public:
  explicit Trainer(Network<T>& network) : network_(network) {}

  // One pass over the rows. Interrupted: the weights are those after the last finished step. Diverged (a loss, or at the end
  // a weight, is not finite): the weights are those at the start and the optimiser's state is zero, if `snapshot`; else the
  // weights are those before the bad batch.
  EpochResult epoch(const EpochArgs<T>& args, SgdState<T>& state);

  const Progress& progress() const { return progress_; }

 private:
  void prepare(const EpochArgs<T>& args);

  Network<T>& network_;
  std::unique_ptr<Workspace<T>> work_;
  Arena<T> snapshot_;
  Arena<std::uint32_t> order_;
  Progress progress_;
};

}  // namespace retrograd
