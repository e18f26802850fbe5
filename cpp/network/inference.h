// The forward pass alone, over any number of rows in slices: outputs, what a classifier decides, or the score against targets.
#pragma once

#include <atomic>
#include <memory>

#include "network/passes.h"

namespace retrograd {

// The memory of a small predict, kept for the next one, so that one row costs no allocation. It is safe for many threads at
// once: a thread that finds the slot empty makes its own.
template <class T>
class SpareWorkspace {
 public:
  SpareWorkspace() = default;
  ~SpareWorkspace() {
    for (auto& slot : slots_) delete slot.load();
  }
  SpareWorkspace(const SpareWorkspace&) = delete;
  SpareWorkspace& operator=(const SpareWorkspace&) = delete;

  // For a forward pass over `rows` rows; capacity may be larger.
  std::unique_ptr<Workspace<T>> take(const Network<T>& network, Index rows);
  void give(std::unique_ptr<Workspace<T>> work);

 private:
  std::atomic<Workspace<T>*>& slot_for(Index rows) { return slots_[rows < kFewRows ? 0 : 1]; }

  std::atomic<Workspace<T>*> slots_[2] = {{nullptr}, {nullptr}};
};

// out[row][unit], C order: what the last layer gives or, with `probabilities`, that after the loss's own activation.
// False: interrupted (out is then partly written).
template <class T>
bool predict(const Network<T>& network, const Rows& x, bool probabilities, T* out, Threads threads, Poll poll,
             SpareWorkspace<T>* spare = nullptr);

// What a classifier says. A network that picks one: out[row], the label of the largest output (of several the first, of NaN the
// first). The others: out[row][unit], 1 where the output is above 0.
template <class T>
bool classify(const Network<T>& network, const Rows& x, std::int64_t* out, Threads threads, Poll poll,
              SpareWorkspace<T>* spare = nullptr);

// Sums over all rows, added panel by panel in their order, with the weights that y has. False: interrupted.
template <class T>
bool evaluate(const Network<T>& network, const Rows& x, const Targets& y, Score& score, Threads threads, Poll poll);

// a = activation(a) for the rows of a batch, in panels whose lanes are its rows.
template <class T>
void activate_panels(const Kernels<T>& kernels, Panels<T> a, Index rows, Index units, Activation activation);

// out[r][unit] = panels[lane r][unit]: the first rows of a batch out of panels whose lanes are its rows.
template <class T>
void unpack_batch(const Kernels<T>& kernels, Panels<T> from, Index rows, Index units, T* out);

}  // namespace retrograd
