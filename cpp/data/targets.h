// The answers to the user's rows, the weight of each row, and the score that sums over rows
// give. No loss is computed here.
#pragma once

#include "data/rows.h"

namespace retrograd {

// Where a batch's answers come from: either labels (the number of one output for each row) or rows of
// `units` numbers of type T. Where row_weights.data is not null, each row counts with its own weight
// (one column of type T; finite, not negative).
struct Targets {
  const std::int32_t* labels = nullptr;
  Rows rows;
  Rows row_weights;
};

template <class T>
T row_weight(const Targets& y, Index row) {
  return *static_cast<const T*>(y.row_weights.row(row));
}

// The sum of the row weights of a batch, added in the order of the rows; without row
// weights it is the number of rows.
template <class T>
double sum_of_row_weights(const Targets& y, Selection selection, Index batch) {
  if (!y.row_weights.data) return static_cast<double>(batch);
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

}  // namespace retrograd
