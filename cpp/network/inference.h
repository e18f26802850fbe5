// The forward pass alone, over any number of rows in slices: outputs, what a classifier decides, or the score against targets.
#pragma once

#include "network/network.h"

namespace retrograd {

// Memory of a small predict that waits for the next one, so that one row costs no allocation. For many threads at once: who
// finds nothing makes its own.
template <class T>
class Spare {
 public:
  Spare() = default;
  ~Spare() {
    for (auto& slot : slots_) delete slot.load();
  }
  Spare(const Spare&) = delete;
  Spare& operator=(const Spare&) = delete;

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
bool predict(const Network<T>& network, const Rows& x, bool probabilities, T* out, int n_threads, int forced, Poll poll,
             Spare<T>* spare = nullptr);

// What a classifier says: out[row], the label of the largest output (of several the first, of NaN the first) with
// cross_entropy and whatever else picks_one; out[row][unit], 1 where the output is above 0, with the others.
template <class T>
bool classify(const Network<T>& network, const Rows& x, std::int64_t* out, int n_threads, int forced, Poll poll,
              Spare<T>* spare = nullptr);

// Sums over all rows, added panel by panel in their order, with the weights that y has. False: interrupted.
template <class T>
bool evaluate(const Network<T>& network, const Rows& x, const Targets& y, Score& score, int n_threads, int forced, Poll poll);

// a = activation(a) for the rows of a batch, in panels whose lanes are its rows.
template <class T>
void activate_panels(const Kernels<T>& kernels, Panels<T> a, Index rows, Index units, Activation activation);

// out[r][unit] = panels[lane r][unit]: the first rows of a batch out of panels whose lanes are its rows.
template <class T>
void unpack_batch(const Kernels<T>& kernels, Panels<T> from, Index rows, Index units, T* out);

}  // namespace retrograd
