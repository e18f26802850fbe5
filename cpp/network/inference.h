// The forward pass alone, over any number of rows in slices: outputs, the decisions of a classifier, or
// the score against targets. How a batch passes through the layers is in passes.h.
#pragma once

#include <atomic>
#include <limits>
#include <memory>

#include "machine/team_choices.h"
#include "network/passes.h"

namespace retrograd {

// Keeps the memory of a small predict for the next one, so that predicting one row allocates nothing, and what was
// learned of teams. It is safe for many threads at once: a thread that finds the slot empty makes a workspace of its own.
template <class T>
class SpareWorkspace {
 public:
  SpareWorkspace() = default;
  ~SpareWorkspace() {
    for (auto& slot : slots_) delete slot.load();
  }
  SpareWorkspace(const SpareWorkspace&) = delete;
  SpareWorkspace& operator=(const SpareWorkspace&) = delete;

  // A workspace for a forward pass over `rows` rows; its capacity may be larger.
  std::unique_ptr<Workspace<T>> take(const Network<T>& network, Index rows);
  void give(std::unique_ptr<Workspace<T>> work);

  TeamChoices teams;  // what is known of how many threads these calls take best

 private:
  std::atomic<Workspace<T>*>& slot_for(Index rows) { return slots_[rows < kFewRows ? 0 : 1]; }

  std::atomic<Workspace<T>*> slots_[2] = {{nullptr}, {nullptr}};
};

// The rows whose outputs are not finite, as the members of a team find them.
class BadRows {
 public:
  void see(Index row) {
    rows_.fetch_add(1, std::memory_order_relaxed);
    Index first = first_.load(std::memory_order_relaxed);
    while (row < first && !first_.compare_exchange_weak(first, row, std::memory_order_relaxed)) {
    }
  }
  Index rows() const { return rows_; }    // how many there are
  Index first() const { return first_; }  // the first of them, if there is one

 private:
  std::atomic<Index> rows_{0}, first_{std::numeric_limits<Index>::max()};
};

// Writes out[row][unit], in C order: the outputs of the last layer or, with `probabilities`, these
// after the activation that the loss applies itself. `bad` is told of rows with an answer that is not
// finite. False: interrupted (`out` is then partly written).
template <class T>
bool predict(const Network<T>& network, const Rows& x, bool probabilities, T* out, Threads threads, Poll poll,
             SpareWorkspace<T>* spare = nullptr, BadRows* bad = nullptr);

// Writes what a classifier decides. A network that picks one label writes it to out[row]: the number of
// the largest output (the first of equals; the first NaN before all). The others write out[row][unit]:
// 1 where the output is above 0. `bad` is told of rows with an output that is not finite. False: interrupted.
template <class T>
bool classify(const Network<T>& network, const Rows& x, std::int64_t* out, Threads threads, Poll poll,
              SpareWorkspace<T>* spare = nullptr, BadRows* bad = nullptr);

// Adds the score of all rows to `score`, panel by panel in their order, with the row weights
// that y has. False: interrupted.
template <class T>
bool evaluate(const Network<T>& network, const Rows& x, const Targets& y, Score& score, Threads threads, Poll poll,
              TeamChoices* teams = nullptr);

// a = activation(a) for the rows of a batch, in panels whose lanes are its rows.
template <class T>
void activate_panels(const Kernels<T>& kernels, Panels<T> a, Index rows, Index units, Activation activation);

// out[r][unit] = panels[lane r][unit]: unpacks the first rows of a batch from panels whose lanes are its rows.
template <class T>
void unpack_batch(const Kernels<T>& kernels, Panels<T> from, Index rows, Index units, T* out);

}  // namespace retrograd
