// The numbers of one network moved towards those of another: a running average in training, a target
// network by hand. When it happens, and by how much, is the caller's choice.
#pragma once

#include "machine/parallel.h"
#include "network/network.h"

namespace retrograd {

// Moves this share of the parameters and statistics of `into` towards those of `from`, by `tau` of
// the distance: a += tau (b - a). With a tau of 1 they are copied. Both networks have the same table.
template <class T>
void blend(const Network<T>& into, const Network<T>& from, double tau, const Share& share);

}  // namespace retrograd
