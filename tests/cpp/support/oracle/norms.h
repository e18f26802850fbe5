// Layer and batch normalisation, and the limit on norms, one number at a time.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/table.h"
#include "support/oracle/operations.h"

namespace retrograd::testing::oracle {

template <class O>
struct Norms {
  using T = typename O::T;

  static void limit_norm(Index rows, T* w, T most) {
    for (Index lane = 0; lane < kLanes; ++lane) {
      T s[4] = {};
      for (Index r = 0; r < rows; ++r) s[r % 4] = O::fma(w[at(r, lane)], w[at(r, lane)], s[r % 4]);
      const T sum = (s[0] + s[1]) + (s[2] + s[3]), norm = std::sqrt(sum);
      for (Index r = 0; r < rows && !(norm <= most); ++r) {
        w[at(r, lane)] *= std::isfinite(sum) ? most / norm : std::numeric_limits<T>::quiet_NaN();
      }
    }
  }

  template <class F>
  static T over_units(Index units, F f) {
    T s[4] = {};
    for (Index u = 0; u < units; ++u) s[u % 4] = f(u, s[u % 4]);
    return (s[0] + s[1]) + (s[2] + s[3]);
  }

  static void normalise_rows(Index units, int lanes, T eps, const T* gamma, const T* beta, const T* z, T* hat, T* rstd, T* a) {
    const T count = static_cast<T>(units);
    for (Index i = 0; i < lanes; ++i) {
      const T mean = over_units(units, [&](Index u, T s) { return s + z[at(u, i)]; }) / count;
      const T squares = over_units(units, [&](Index u, T s) { return O::fma(z[at(u, i)] - mean, z[at(u, i)] - mean, s); });
      const T scale = T(1) / std::sqrt(squares / count + eps);
      for (Index u = 0; u < units; ++u) {
        const T h = (z[at(u, i)] - mean) * scale;
        if (hat) hat[at(u, i)] = h;
        a[at(u, i)] = O::fma(gamma[u], h, beta[u]);
      }
      if (rstd) rstd[i] = scale;
    }
  }

  static void denormalise_rows(Index units, int lanes, const T* gamma, const T* hat, const T* rstd, T* d, T* product) {
    const T count = static_cast<T>(units);
    for (Index i = 0; i < lanes; ++i) {
      const auto scaled = [&](Index u) { return d[at(u, i)] * gamma[u]; };
      const T mean = over_units(units, [&](Index u, T s) { return s + scaled(u); }) / count;
      const T slope = over_units(units, [&](Index u, T s) { return O::fma(scaled(u), hat[at(u, i)], s); }) / count;
      for (Index u = 0; u < units; ++u) {
        const T g = scaled(u);
        product[at(u, i)] = d[at(u, i)] * hat[at(u, i)];
        d[at(u, i)] = O::fma(-hat[at(u, i)], slope, g - mean) * rstd[i];
      }
    }
  }

  static void unit_sums(Index units, Index rows, Panels<const T> x, Panels<const T> y, const T* centre, T* out) {
    for (Index u = 0; u < kLanes; ++u) {
      T chain[kLanes] = {};
      for (Index m = 0; u < units && m < rows; ++m) {
        const T value = x.row(m / kLanes, u)[m % kLanes];
        const T first = centre ? value - centre[u] : value;
        const T second = centre ? first : y.data ? y.row(m / kLanes, u)[m % kLanes] : T(1);
        chain[m % kLanes] = O::fma(first, second, chain[m % kLanes]);
      }
      for (Index half = kLanes / 2; half > 0; half /= 2) {
        for (Index l = 0; l < half; ++l) chain[l] += chain[l + half];
      }
      out[u] = chain[0];
    }
  }

  static void normalise_units(Index units, int lanes, const T* mean, const T* rstd, const T* gamma, const T* beta, const T* z,
                              T* hat, T* a) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        const T h = (z[at(u, i)] - mean[u]) * rstd[u];
        if (hat) hat[at(u, i)] = h;
        a[at(u, i)] = O::fma(gamma[u], h, beta[u]);
      }
    }
  }

  static void denormalise_units(Index units, int lanes, const T* mean, const T* slope, const T* factor, const T* hat, T* d) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        d[at(u, i)] = O::fma(-hat[at(u, i)], slope[u], d[at(u, i)] - mean[u]) * factor[u];
      }
    }
  }
};

}  // namespace retrograd::testing::oracle
