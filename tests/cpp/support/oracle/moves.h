// Data on its way into panels: transposed, gathered, converted, and searched for what is not finite.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/table.h"
#include "support/oracle/operations.h"

namespace retrograd::testing::oracle {

template <class O>
struct Moves {
  using T = typename O::T;

  static void transpose(Index rows, Index lanes, const T* src, T* dst) {
    for (Index i = 0; i < lanes; ++i) {
      for (Index r = 0; r < kLanes; ++r) dst[at(i, r)] = r < rows ? src[at(r, i)] : T(0);
    }
  }

  template <class S>
  static T converted(const void* x, Index i) {
    return static_cast<T>(static_cast<const S*>(x)[i]);
  }

  template <class S>
  static void gather(Index cols, int lanes, const void* const* x, T* out) {
    for (Index k = 0; k < cols; ++k) {
      for (Index lane = 0; lane < lanes; ++lane) out[at(k, lane)] = converted<S>(x[lane], k);
    }
  }

  template <class S>
  static void convert(Index cols, const void* x, T* out) {
    for (Index k = 0; k < cols; ++k) out[k] = converted<S>(x, k);
  }

  template <class S>
  static bool finite(Index count, const void* x) {
    bool all = true;
    for (Index i = 0; i < count; ++i) all = all && std::isfinite(converted<S>(x, i));
    return all;
  }
};

}  // namespace retrograd::testing::oracle
