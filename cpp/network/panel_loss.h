// The loss of panels of a batch, and their scores: what every way of a batch does at the outputs of a network. The formulas are
// in kernels/losses.h; where the outputs and answers come from is not known here.
#pragma once

#include "data/targets.h"
#include "network/network.h"

namespace retrograd {

// Up to 16 rows of a batch at the output of a network, in panels with lanes = rows.
template <class T>
struct PanelLoss {
  int lanes;                             // rows
  const T* a;                            // [units][16] outputs
  const T* z = nullptr;                  // [units][16], read where f' of the last layer needs it
  const T* target = nullptr;             // [units][16], or null where labels are given
  const std::int32_t* labels = nullptr;  // [16], or null
  const T* row_weights = nullptr;        // [16], or null where every row counts as 1
  T* delta = nullptr;                    // [units][16], to be written; or null
  T* losses = nullptr;                   // [16] of each row, to be written
  T* metrics = nullptr;                  // [16] of each row, to be written
};

template <class T>
class BatchLoss {
 public:
  // The loss of a batch is a sum over its rows divided by `divisor` (divisor_of; 0: every delta is 0). `weighted`: its panels
  // have row weights.
  BatchLoss(const Network<T>& network, const Kernels<T>& kernels, double divisor, bool weighted);
  void operator()(const PanelLoss<T>& panel) const;

 private:
  const Kernels<T>& kernels_;
  double divisor_;
  LossArgs<T> args_{};  // what all panels share
};

// The score of a panel whose losses and metrics were written.
template <class T>
Score score_of(const PanelLoss<T>& panel);

// The same where every row counts as 1.
template <class T>
Score sum_of(const T* losses, const T* metrics, int lanes) {
  Score score;
  score.weight = lanes;
  for (int i = 0; i < lanes; ++i) {
    score.loss += static_cast<double>(losses[i]);
    score.metric += static_cast<double>(metrics[i]);
  }
  return score;
}

}  // namespace retrograd
