// The forward pass alone, over any number of rows in slices: outputs, or the score against targets.
#pragma once

#include "network.h"

namespace retrograd {

// out[row][unit], C order: what the last layer gives or, with `probabilities`, that after the loss's own activation.
// False: interrupted (out is then partly written).
template <class T>
bool predict(const Network<T>& network, const Rows& x, bool probabilities, T* out, int n_threads, int forced, Poll poll);

// Sums over all rows, added panel by panel in their order. False: interrupted.
template <class T>
bool evaluate(const Network<T>& network, const Rows& x, const Targets& y, Score& score, int n_threads, int forced, Poll poll);

// a = activation(a) for the rows of a batch, in panels whose lanes are its rows.
template <class T>
void activate_panels(const Kernels<T>& kernels, Panels<T> a, Index rows, Index units, Activation activation);

// out[r][unit] = panels[lane r][unit]: rows r0..r1 of a batch out of panels whose lanes are its rows.
template <class T>
void unpack_batch(Panels<T> from, Index r0, Index r1, Index units, T* out);

}  // namespace retrograd
