// One dense layer: forward, delta of the layer below, dw and db with their update; loops over blocks of panels, each for
// the share of the work that its arguments name. Knows no network, owns no memory, starts no threads.
//
// Loops are ordered so that the operand used again stays in L1 and the reduction runs in blocks of kKc, each going on from
// the sums that the one before stored: the chain of every element stays whole.
#pragma once

#include "kernels.h"
#include "parallel.h"

namespace retrograd {

template <class T>
struct DenseLayer {
  Index fan_in = 0;
  Index fan_out = 0;
  Panels<T> w;     // rows = fan_in, lanes = fan_out
  T* b = nullptr;  // padded to whole panels
  Activation activation = Activation::identity;
};

// Rows of a block of the reduction: 12 KiB of one panel.
template <class T>
constexpr Index kKc = 768 / static_cast<Index>(sizeof(T));

// a = f(x w + b) for batch panels p0..p1 of `batch` rows; z too where z.data is not null. False: interrupted.
template <class T>
bool dense_forward(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> a, Panels<T> z, Panels<const T> x, Index p0,
                   Index p1, Index batch, Watch& watch);

// The same from rows of the user's own (row pointers of all the batch), where the batch is too small to fill panels.
template <class T>
bool dense_forward_rows(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> a, const T* const* x, Index p0,
                        Index p1, Index batch, Watch& watch);

// below = (delta wT) * f'(z of the layer below), f' computed from its stored activation a (identity: a is not read).
template <class T>
bool dense_delta(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> below, Panels<const T> delta,
                 Panels<const T> a, Activation activation_below, Index p0, Index p1, Index batch, Watch& watch);

// delta_t = the deltas of batch panels p0..p1 with lanes = units.
template <class T>
void transpose_delta(const Kernels<T>& kernels, Index units, Panels<T> delta_t, Panels<const T> delta, Index p0, Index p1,
                     Index batch);

// Where dw and db go: into the gradient `g` (laid out as w), or, where `update` is given, at once into w with its velocity.
template <class T>
struct DwTarget {
  Panels<T> g;
  T* g_bias = nullptr;
  Panels<T> v;
  T* v_bias = nullptr;
  const Update<T>* update = nullptr;
};

// dw = xT delta and db, for this member's share of the rows of w. Once begun it is finished.
// The x of the layer is panels `x`, or row pointers `rows` where that is not null.
template <class T>
void dense_dw(const Kernels<T>& kernels, const DenseLayer<T>& layer, const DwTarget<T>& target, Panels<const T> x,
              const T* const* rows, Panels<const T> delta_t, Index batch, const Member& member);

}  // namespace retrograd
