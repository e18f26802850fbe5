// Normalisation between the sums of a layer and its activation, forward and backward: a = f(gamma
// normalised(z) + beta). The loops over numbers are not here (kernels/norms.h).
//
// Norm::layer normalises each row over its units (Ba, Kiros, Hinton, "Layer normalization", 2016).
// Norm::batch normalises each unit over the rows of the batch (Ioffe, Szegedy, "Batch normalization",
// ICML 2015), and outside of training by running means. Both follow PyTorch's LayerNorm and
// BatchNorm1d: eps 1e-5, momentum 0.1, and biased variances except for the running one.
#pragma once

#include "layers/dense.h"

namespace retrograd {

constexpr double kNormEps = 1e-5, kNormMomentum = 0.1;

// What a pass keeps for one layer that normalises. Arrays over units are padded to whole panels.
template <class T>
struct NormState {
  Panels<T> hat;             // z normalised, lanes = rows of the batch; data null in a forward pass alone
  Panels<T> rstd;            // one number for each row (layer) or each unit (batch); data null where hat's is
  Panels<T> mean, variance;  // batch, in training: over the rows, for each unit; the variance is biased
  Panels<T> dgamma, dbeta;   // lanes = units; the gradients are the sums over their rows
  Panels<T> z;               // gamma hat + beta, kept where the activation's derivative is computed from it
  Panels<T> product;         // layer: delta times hat on the way back, which is transposed into dgamma
  bool of_batch = false;     // batch: mean and rstd are those of the batch, not the running ones

  // The number of rows of dgamma and dbeta.
  static Index rows(Norm norm, Index batch) { return norm == Norm::batch ? 1 : batch; }
};

// Replaces z by a = f(gamma hat + beta) for a part of a batch. The part has all units (layer), or all
// rows (batch, where state.of_batch).
template <class T>
void norm_forward(const Kernels<T>& kernels, const DenseLayer<T>& layer, const NormState<T>& state, Panels<T> a,
                  const Part& part, Index batch);

// Replaces the gradient with respect to a by that with respect to z, and writes dgamma and dbeta. The
// part has all units (layer) or all rows (batch).
template <class T>
void norm_backward(const Kernels<T>& kernels, const DenseLayer<T>& layer, const NormState<T>& state, Panels<T> delta,
                   Panels<const T> a, const Part& part, Index batch);

// Moves the running mean and variance of a layer towards those of a batch, for this
// share of the units.
template <class T>
void norm_remember(const DenseLayer<T>& layer, const NormState<T>& state, Index batch, const Share& share);

}  // namespace retrograd
