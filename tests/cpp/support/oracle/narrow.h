// The products of narrow networks, one number at a time.
#pragma once

#include "support/oracle/activations.h"
#include "support/oracle/moves.h"

namespace retrograd::testing::oracle {

template <class O>
struct Narrow {
  using T = typename O::T;

  static T product(Index n, Panels<const T> x, Index row, const T* w, Index lane, T sum) {
    for (Index i = 0; i < n; ++i) sum = O::fma(x.row(i / kLanes, row)[i % kLanes], w[at(i, lane)], sum);
    return sum;
  }

  static void narrow_forward(Index k, Index rows, int lanes, Panels<const T> x, Panels<const T> w, const T* bias, Panels<T> a,
                             Panels<T> z, Activation activation) {
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        const T sum = product(k, x, r, w.data, lane, bias[lane]);
        if (z.data) z.data[at(r, lane)] = sum;
        a.data[at(r, lane)] = Activations<O>::activated(sum, activation);
      }
    }
  }

  static void narrow_delta(Index n, Index rows, int lanes, Panels<const T> d, Panels<const T> wt, Panels<T> out,
                           Panels<const T> a, Activation activation) {
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        const T sum = product(n, d, r, wt.data, lane, T(0));
        const bool derive_it = activation != Activation::identity;
        out.data[at(r, lane)] = derive_it ? Activations<O>::derived(sum, a.data[at(r, lane)], activation) : sum;
      }
    }
  }

  static void narrow_dw(Index rows, Index m, int lanes, const T* a, Panels<const T> d, Panels<T> g, bool first) {
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = first ? T(0) : g.data[at(r, lane)];
        for (Index i = 0; i < m; ++i) sum = O::fma(a[at(i, r)], d.data[at(i, lane)], sum);
        g.data[at(r, lane)] = sum;
      }
    }
  }

  static void db_part(Index m, int lanes, const T* d, T* sums, bool first) {
    for (Index lane = 0; lane < lanes; ++lane) {
      for (Index i = 0; i < 4; ++i) sums[at(i, lane)] = first ? T(0) : sums[at(i, lane)];
      for (Index i = 0; i < m; ++i) sums[at(i % 4, lane)] += d[at(i, lane)];
    }
  }

  template <class S>
  static void narrow_rows(Index cols, Index rows, const void* x, Index stride, const std::uint32_t* order, Panels<T> out) {
    for (Index r = 0; r < rows; ++r) {
      const char* row = static_cast<const char*>(x) + (order ? static_cast<Index>(order[r]) : r) * stride;
      for (Index k = 0; k < cols; ++k) out.row(k / kLanes, r)[k % kLanes] = Moves<O>::template converted<S>(row, k);
    }
  }
};

}  // namespace retrograd::testing::oracle
