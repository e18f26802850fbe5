// How the weights and biases of a network start: numbers of a seed, a layer and a place, by counter. So they have the same
// bits for any number of threads. Which distribution and scale suit a layer is not here: Python knows that.
#pragma once

#include "network/network.h"

namespace retrograd {

// Sets the weights of layer l to scale * a random number of (seed, l, place in row-major order); with Distribution::orthogonal
// to scale * a random matrix (orthogonal.h). Biases are left alone. False: interrupted, which only an orthogonal matrix can be.
template <class T>
bool fill_weights(Network<T>& network, Index l, Distribution distribution, double scale, std::uint64_t seed, Poll poll = {});

// Sets the biases of layer l, which must have them, to numbers that are uniform in (-scale, scale). They have a stream of
// their own.
template <class T>
void fill_biases(Network<T>& network, Index l, double scale, std::uint64_t seed);

}  // namespace retrograd
