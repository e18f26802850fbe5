// Random matrices with orthonormal columns, as initial weights (Saxe, McClelland, Ganguli: Exact solutions to the nonlinear
// dynamics of learning in deep linear neural networks, 2014): Q of a matrix of normal numbers, with the signs that make Q
// uniform among all such matrices. This is no general decomposition: R is not kept.
#pragma once

#include "base/panel.h"
#include "machine/parallel.h"

namespace retrograd {

// Writes such a matrix of rows x cols, rows >= cols, to q (its lanes are the columns; q.rows = rows). It takes about
// 4 rows cols^2 operations. The bits are a matter of the arguments alone: reflections by Householder in double, each
// product and sum rounded by itself (there is no fused multiply-add on every CPU), each column a chain of its own in
// ascending order. False: interrupted, and q holds nothing of use.
bool orthonormal_columns(Index rows, Index cols, std::uint64_t seed, std::uint32_t stream, Panels<double> q, Poll poll,
                         Threads threads = {});

}  // namespace retrograd
