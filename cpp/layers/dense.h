// One dense layer: forward, delta of the layer below, and dw and db with their update, as loops over
// blocks of panels, each for the share of the work that its arguments name. This file knows no network,
// owns no memory and starts no threads.
//
// The loops are ordered so that the operand that is used again stays in L1. The reduction runs in
// blocks of kKc, each of which goes on from the sums that the one before stored, so that the chain
// of every element stays whole.
#pragma once

#include <algorithm>

#include "base/choices.h"
#include "kernels/table.h"
#include "machine/parallel.h"

namespace retrograd {

template <class T>
struct DenseLayer {
  Index fan_in = 0;
  Index fan_out = 0;
  Panels<T> w;     // rows = fan_in, lanes = fan_out
  T* b = nullptr;  // padded to whole panels; where `biased` is false these are zeros, which nothing changes
  bool biased = true;
  Activation activation = Activation::identity;

  // Where the layer normalises (norm.h), the sums go there first and `activation` is identity:
  // after_norm is the layer's own.
  Norm norm = Norm::none;
  Activation after_norm = Activation::identity;
  T* gamma = nullptr;  // padded as b, and behind it if there is one; then beta
  T* beta = nullptr;
  T* running_mean = nullptr;  // only with batch normalisation
  T* running_variance = nullptr;

  // The first vector that the layer learns: b, gamma and beta lie one behind the other from here.
  T* vectors() const { return biased ? b : gamma; }
};

// The part of a layer's pass that a call computes: batch panels p0..p1, and panels u0..u1 of the layer's
// outputs (of its inputs, where deltas go down); u1 < 0 means all of them. With softmax it must be all.
struct Part {
  Index p0, p1;
  Index u0 = 0, u1 = -1;

  Index begin() const { return u0 * kLanes; }
  Index end(Index units) const { return u1 < 0 ? units : std::min(units, u1 * kLanes); }
};

// a = f(x w + b) for a part of a batch of `batch` rows; z is written too where z.data is
// not null. False: interrupted.
template <class T>
bool dense_forward(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> a, Panels<T> z, Panels<const T> x,
                   const Part& part, Index batch, InterruptWatch& watch);

// The same from rows in any place, with lanes = outputs; x has one pointer for each row of the batch.
template <class T>
bool dense_forward_rows(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> a, Panels<T> z, const T* const* x,
                        const Part& part, Index batch, InterruptWatch& watch);

// A few rows, each with its values side by side: row i begins at data + i stride, and
// `rows` lists these addresses.
template <class T>
struct FewRows {
  T* data = nullptr;
  Index stride = 0;
  const T** rows = nullptr;
};

// a = f(x w + b) from a few rows to a few rows; z is written too where z.data is not null. Not for softmax.
template <class T>
bool dense_forward_few_rows(const Kernels<T>& kernels, const DenseLayer<T>& layer, FewRows<T> a, FewRows<T> z,
                            const T* const* x, const Part& part, Index rows, InterruptWatch& watch);

// below = (delta wT) * f'(z of the layer below). f' is computed from `a`, that layer's stored
// activation (not read for identity), or, where derived_from_z, from its z, which is then given as `a`.
template <class T>
bool dense_delta(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> below, Panels<const T> delta,
                 Panels<const T> a, Activation activation_below, const Part& part, Index batch, InterruptWatch& watch);

// The same for a few rows, with lanes = inputs of the layer and blocks of w that are transposed on the
// way. It writes the deltas below both as rows (`below`) and as their delta_t (`below_t`).
template <class T>
bool dense_delta_few_rows(const Kernels<T>& kernels, const DenseLayer<T>& layer, FewRows<T> below, Panels<T> below_t,
                          const T* const* delta, const T* const* a, Activation activation_below, const Part& part, Index rows,
                          InterruptWatch& watch);

// Copies the rows of delta_t to `delta`, where each lies side by side.
template <class T>
void copy_delta_rows(Index units, Index rows, FewRows<T> delta, Panels<const T> delta_t);

// delta_t = the deltas of a part of the batch and of the units, with lanes = units.
template <class T>
void transpose_delta(const Kernels<T>& kernels, Index units, Panels<T> delta_t, Panels<const T> delta, const Part& part,
                     Index batch);

// Where dw and db of one layer go: into the gradient `g` (laid out as w), or, where updates are given,
// straight into w and b and the first plane of their state, v. g_bias and v_bias belong to DenseLayer::vectors().
template <class T>
struct LayerSink {
  Panels<T> g;
  T* g_bias = nullptr;
  Panels<T> v;
  T* v_bias = nullptr;
  const Update<T>* update = nullptr;
  const Update<T>* bias_update = nullptr;
  // Where a batch comes in chunks, the sums go on from those in `g` unless it is the first, and db is complete with the last.
  bool first = true, last = true;
  T* chains = nullptr;  // of DenseLayer::vectors(), four numbers for each
};

// Sums m rows of d (lanes = units), for this share of the units. Each unit's sum belongs to its number
// of `parameter`, one of the layer's vectors; it is stored, or used at once in a step, as the sink says.
template <class T>
void dense_db(const Kernels<T>& kernels, const DenseLayer<T>& layer, const LayerSink<T>& sink, T* parameter, Panels<const T> d,
              Index m, const Share& share);

// dw = xT delta, and db where the layer has biases, for this share of the rows of w, or of its columns if `by_units`.
// A call that has begun runs to its end. x is given as panels `x`, or as row pointers `rows` where these are not null.
template <class T>
void dense_dw(const Kernels<T>& kernels, const DenseLayer<T>& layer, const LayerSink<T>& sink, Panels<const T> x,
              const T* const* rows, Panels<const T> delta_t, Index batch, const Share& share, bool by_units = false);

}  // namespace retrograd
