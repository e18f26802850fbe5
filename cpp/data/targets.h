// The answers to the user's rows, the weight of each row, and the score that sums over rows
// give. No loss is computed here.
#pragma once

#include "data/rows.h"

namespace retrograd {

// Where a batch's answers come from: either labels (the number of one output for each row) or rows of
// `units` numbers of type T. Where row_weights.data is not null, each row counts with its own weight
// (one column of type T; finite, not negative). The loss of a batch is the sum of w l over its rows,
// divided by the number of rows or, if `by_batch`, by the sum of their w.
struct Targets {
  const std::int32_t* labels = nullptr;
  Rows rows;
  Rows row_weights;
  bool by_batch = false;
};

template <class T>
T row_weight(const Targets& y, Index row) {
  return *static_cast<const T*>(y.row_weights.row(row));
}

// What the sum of w l over a batch is divided by. A sum of weights is added in the order of the rows.
template <class T>
double divisor_of(const Targets& y, Selection selection, Index batch) {
  if (!y.row_weights.data || !y.by_batch) return static_cast<double>(batch);
  double sum = 0;
  for (Index i = 0; i < batch; ++i) sum += static_cast<double>(row_weight<T>(y, selection[i]));
  return sum;
}

// Sums over the rows of a batch or of a data set, each row times its weight (1 where there are no row weights).
struct Score {
  double loss = 0;
  double metric = 0;
  double weight = 0;

  Score& operator+=(const Score& other) {
    loss += other.loss;
    metric += other.metric;
    weight += other.weight;
    return *this;
  }
  // A sum as a mean over rows. It is 0 where no row has a weight above 0.
  double mean(double sum) const { return weight > 0 ? sum / weight : 0; }
};

// The loss of a batch of `rows` rows, which its gradient belongs to.
inline double batch_loss(const Targets& y, const Score& score, Index rows) {
  const bool by_rows = y.row_weights.data && !y.by_batch;
  return by_rows ? score.loss / static_cast<double>(rows) : score.mean(score.loss);
}

}  // namespace retrograd
