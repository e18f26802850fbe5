// Dropout and noise over a part of a batch: what training does to the outputs of a layer, or to the
// inputs, so that the network does not learn its rows by heart. The numbers are drawn by counter each
// time they are needed and never kept. The generator is not here (kernels/noise.h).
#pragma once

#include "layers/dense.h"

namespace retrograd {

// to = from with dropout's mask: each number becomes 0 with probability `rate`, else it is divided
// by 1 - rate. `from` is the outputs of a layer, or the deltas on their way back through it; the
// same draw gives the same mask.
template <class T>
void drop(const Kernels<T>& kernels, double rate, const Draw& draw, Index units, Panels<const T> from, Panels<T> to,
          const Part& part, Index batch, Index first);

// to = from + normal noise of standard deviation `deviation`.
template <class T>
void add_noise(const Kernels<T>& kernels, double deviation, const Draw& draw, Index units, Panels<const T> from, Panels<T> to,
               const Part& part, Index batch, Index first);

}  // namespace retrograd
