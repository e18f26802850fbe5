// Gradients of weights and biases, with the fused update, one number at a time.
#pragma once

#include "kernels/table.h"
#include "support/oracle/updates.h"

namespace retrograd::testing::oracle {

template <class O>
struct Gradients {
  using T = typename O::T;

  static void dw(Index rows, Index m, int lanes, Panels<const T> a, Panels<const T> d_, Panels<T> g, bool first, bool last,
                 Panels<T> w, Panels<T> v, const Update<T>* update) {
    const T* d = d_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = first ? T(0) : g.data[at(r, lane)];
        for (Index i = 0; i < m; ++i) sum = O::fma(a.row(i / kLanes, r)[i % kLanes], d[at(i, lane)], sum);
        Updates<O>::take(sum, at(r, lane), g.data, w.data, v.data, last ? update : nullptr);
      }
    }
  }

  static void dw_rows(Index rows, Index m, int lanes, const T* const* x, Index offset, Panels<const T> d_, Panels<T> g,
                      Panels<T> w, Panels<T> v, const Update<T>* update) {
    const T* d = d_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = 0;
        for (Index i = 0; i < m; ++i) sum = O::fma(x[i][offset + r], d[at(i, lane)], sum);
        Updates<O>::take(sum, at(r, lane), g.data, w.data, v.data, update);
      }
    }
  }

  static void db(Index m, const T* d, T* g, T* w, T* v, const Update<T>* update) {
    for (Index lane = 0; lane < kLanes; ++lane) {
      T chain[4] = {};
      for (Index i = 0; i < m; ++i) chain[i % 4] += d[at(i, lane)];
      Updates<O>::take((chain[0] + chain[1]) + (chain[2] + chain[3]), lane, g, w, v, update);
    }
  }
};

}  // namespace retrograd::testing::oracle
