// The base of the oracle: the operations of a table without fused multiply-add, and the layout of one panel.
#pragma once

#include "base/panel.h"
#include "base/scalar.h"

namespace retrograd::testing {

// The operations of a table without fused multiply-add: they round twice.
template <class T>
struct Unfused : Scalar<T> {
  static T fma(T a, T b, T c) {
    const T product = a * b;
    return product + c;
  }
};

namespace oracle {

inline Index at(Index row, Index lane) { return row * kLanes + lane; }

}  // namespace oracle

}  // namespace retrograd::testing
