// The loss of one panel of a batch with its score: what every way of a batch does at the outputs of a network. The formulas
// are in kernels/losses.h; where the outputs and answers come from is not known here.
#pragma once

#include "data/targets.h"
#include "network/network.h"

namespace retrograd {

// Up to 16 rows of a batch at the output of a network, in panels with lanes = rows.
template <class T>
struct PanelLoss {
  int lanes;                             // rows
  const T* a;                            // [units][16] outputs
  const T* z = nullptr;                  // [units][16] where f' of the last layer needs it
  const T* target = nullptr;             // [units][16], or null where labels are given
  const std::int32_t* labels = nullptr;  // [16], or null
  const T* row_weights = nullptr;        // [16], or null where every row counts as 1
  T* delta = nullptr;                    // [units][16], to be written; or null
};

// Writes the delta, where it is wanted, for the loss of the batch: a sum over its rows divided by `divisor` (divisor_of;
// 0: every delta is 0). Returns the score of the panel.
template <class T>
Score panel_loss(const Network<T>& network, const Kernels<T>& kernels, const PanelLoss<T>& panel, double divisor);

// The score of rows that all count as 1, from their losses and metrics.
template <class T>
Score sum_of(const T* loss_rows, const T* metric_rows, int lanes) {
  Score score;
  score.weight = lanes;
  for (int i = 0; i < lanes; ++i) {
    score.loss += static_cast<double>(loss_rows[i]);
    score.metric += static_cast<double>(metric_rows[i]);
  }
  return score;
}

}  // namespace retrograd
