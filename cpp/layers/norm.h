// Normalisation between the sums of a layer and its activation, there and back: a = f(gamma normalised(z) + beta).
//
// layer: each row over its units (Ba, Kiros, Hinton, "Layer normalization", 2016); batch: each unit over the rows of the batch
// (Ioffe, Szegedy, "Batch normalization", ICML 2015), outside of training by running means. PyTorch's LayerNorm and
// BatchNorm1d: eps 1e-5, momentum 0.1, biased variances but for the running one.
#pragma once

#include "layers/dense.h"

namespace retrograd {

constexpr double kNormEps = 1e-5, kNormMomentum = 0.1;

// What a pass keeps of a layer that normalises. Arrays of units are padded to whole panels.
template <class T>
struct NormState {
  Panels<T> hat;             // z normalised, lanes = rows of the batch; data null in a forward pass alone
  Panels<T> rstd;            // one number for each row (layer) or each unit (batch); null as hat
  Panels<T> mean, variance;  // batch, in training: of each unit over the rows, the variance biased
  Panels<T> dgamma, dbeta;   // lanes = units; the gradients are their sums over rows
  Panels<T> z;               // gamma hat + beta, where the activation's derivative is computed from it
  Panels<T> product;         // room for one panel of the batch at a time in each, shared by all layers
  bool of_batch = false;     // batch: mean and rstd are those of the batch, not the running ones

  // Rows of dgamma and dbeta.
  static Index rows(Norm norm, Index batch) { return norm == Norm::batch ? 1 : batch; }
};

// a = f(gamma hat + beta) in place of z, for a part of a batch: all units (layer), all rows (batch, where state.of_batch).
template <class T>
void norm_forward(const Kernels<T>& kernels, const DenseLayer<T>& layer, const NormState<T>& state, Panels<T> a,
                  const Part& part, Index batch);

// The gradient with respect to z in place of that with respect to a; dgamma and dbeta. Parts: all units (layer), all rows
// (batch).
template <class T>
void norm_backward(const Kernels<T>& kernels, const DenseLayer<T>& layer, const NormState<T>& state, Panels<T> delta,
                   Panels<const T> a, const Part& part, Index batch);

// The running mean and variance of a layer take in those of a batch, for this member's share of the units.
template <class T>
void norm_remember(const DenseLayer<T>& layer, const NormState<T>& state, Index batch, const Member& member);

}  // namespace retrograd
