// The products of a layer forward and of its deltas, one number at a time.
#pragma once

#include "kernels/table.h"
#include "support/oracle/activations.h"

namespace retrograd::testing::oracle {

template <class O>
struct Products {
  using T = typename O::T;

  static void forward(Index k, Index units, int lanes, const T* w, Panels<const T> x_, const T* bias, Panels<T> a_,
                      Panels<T> z_, bool last, Activation activation) {
    const T* x = x_.data;
    T *a = a_.data, *z = z_.data;
    for (Index r = 0; r < units; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = bias ? bias[r] : a[at(r, lane)];
        for (Index i = 0; i < k; ++i) sum = O::fma(w[at(i, r)], x[at(i, lane)], sum);
        if (last && z) z[at(r, lane)] = sum;
        a[at(r, lane)] = last ? Activations<O>::activated(sum, activation) : sum;
      }
    }
  }

  static void forward_rows(Index k, Index rows, int lanes, const T* const* x, Index offset, Panels<const T> w_, const T* bias,
                           Panels<T> z_) {
    const T* w = w_.data;
    T* z = z_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = bias ? bias[lane] : z[at(r, lane)];
        for (Index i = 0; i < k; ++i) sum = O::fma(x[r][offset + i], w[at(i, lane)], sum);
        z[at(r, lane)] = sum;
      }
    }
  }

  static void delta(Index rows, Index n, int lanes, Panels<const T> w, Panels<const T> d_, Panels<T> out_, Panels<const T> a_,
                    bool first, bool last, Activation activation) {
    const T *d = d_.data, *a = a_.data;
    T* out = out_.data;
    for (Index r = 0; r < rows; ++r) {
      for (Index lane = 0; lane < lanes; ++lane) {
        T sum = first ? T(0) : out[at(r, lane)];
        for (Index i = 0; i < n; ++i) sum = O::fma(w.row(i / kLanes, r)[i % kLanes], d[at(i, lane)], sum);
        const bool derive_it = last && activation != Activation::identity;
        out[at(r, lane)] = derive_it ? Activations<O>::derived(sum, a[at(r, lane)], activation) : sum;
      }
    }
  }

  static void delta_rows(Index units, Index rows, int lanes, const T* w, const T* const* d, Index offset, T* out,
                         Index stride) {
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < units; ++k) {
        for (Index n = 0; n < lanes; ++n) {
          out[r * stride + k] = O::fma(d[r][offset + n], w[at(k, n)], out[r * stride + k]);
        }
      }
    }
  }
};

}  // namespace retrograd::testing::oracle
