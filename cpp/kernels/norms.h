// Normalisation over the units of a row and over the rows of a batch, and the limit on the norms of
// weights. It is a part of kernels.cpp. Where the means of a batch come from and how they are
// learned is in layers/norm.cpp.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

template <class T>
void limit_norm(Index rows, T* w, T most) {
  using O = Ops<T>;
  const V<T> limit = O::broadcast(&most);
  for (int v = 0; v < O::per_panel; ++v) {
    V<T> s[4] = {};
    T* p = w + v * O::width;
    for (Index r = 0; r < rows; ++r) {
      const V<T> x = O::load(p + r * kLanes);
      s[r % 4] = O::fma(x, x, s[r % 4]);
    }
    const V<T> sum = (s[0] + s[1]) + (s[2] + s[3]), norm = O::sqrt(sum);
    const V<T> factor = O::select(norm > limit, limit / norm, O::set(1)) + (sum - sum);  // infinity gives NaN
    bool scaled = false;
    for (int l = 0; l < O::width; ++l) scaled |= !(factor[l] == T(1));
    for (Index r = 0; scaled && r < rows; ++r) O::store(p + r * kLanes, O::load(p + r * kLanes) * factor);
  }
}

// The sum of f(unit) over units, in four chains.
template <class T, class F>
RG_INLINE V<T> over_units(Index units, F f) {
  V<T> s[4] = {};
  Index u = 0;
  for (; u + 4 <= units; u += 4) {
    RG_UNROLL for (int i = 0; i < 4; ++i) s[i] = f(u + i, s[i]);
  }
  for (; u < units; ++u) s[u % 4] = f(u, s[u % 4]);
  return (s[0] + s[1]) + (s[2] + s[3]);
}

template <class T>
void normalise_rows(Index units, int lanes, T eps, const T* gamma, const T* beta, const T* z, T* hat, T* rstd, T* a) {
  using O = Ops<T>;
  const T count = static_cast<T>(units);
  for (Index o = 0; o < vectors<T>(lanes) * O::width; o += O::width) {
    const auto at = [=](Index u) RG_LAMBDA { return O::load(z + u * kLanes + o); };
    const V<T> mean = over_units<T>(units, [=](Index u, V<T> s) RG_LAMBDA { return s + at(u); }) / count;
    const V<T> squares = over_units<T>(units, [=](Index u, V<T> s) RG_LAMBDA { return O::fma(at(u) - mean, at(u) - mean, s); });
    const V<T> scale = O::set(1) / O::sqrt(squares / count + eps);
    for (Index u = 0; u < units; ++u) {
      const V<T> h = (at(u) - mean) * scale;
      if (hat) O::store(hat + u * kLanes + o, h);
      O::store(a + u * kLanes + o, O::fma(O::broadcast(gamma + u), h, O::broadcast(beta + u)));
    }
    if (rstd) O::store(rstd + o, scale);
  }
}

template <class T>
void denormalise_rows(Index units, int lanes, const T* gamma, const T* hat, const T* rstd, T* d, T* product) {
  using O = Ops<T>;
  const T count = static_cast<T>(units);
  for (Index o = 0; o < vectors<T>(lanes) * O::width; o += O::width) {
    const auto scaled = [=](Index u) RG_LAMBDA { return O::load(d + u * kLanes + o) * O::broadcast(gamma + u); };
    const auto normal = [=](Index u) RG_LAMBDA { return O::load(hat + u * kLanes + o); };
    const V<T> mean = over_units<T>(units, [=](Index u, V<T> s) RG_LAMBDA { return s + scaled(u); }) / count;
    const V<T> slope = over_units<T>(units, [=](Index u, V<T> s) RG_LAMBDA { return O::fma(scaled(u), normal(u), s); }) / count;
    const V<T> scale = O::load(rstd + o);
    for (Index u = 0; u < units; ++u) {
      const V<T> g = scaled(u), h = normal(u);
      O::store(product + u * kLanes + o, O::load(d + u * kLanes + o) * h);
      O::store(d + u * kLanes + o, O::fma(-h, slope, g - mean) * scale);
    }
  }
}

template <class T>
void unit_sums(Index units, Index rows, Panels<const T> x, Panels<const T> y, const T* centre, T* out) {
  using O = Ops<T>;
  V<T> lane;
  for (int i = 0; i < O::width; ++i) lane[i] = static_cast<T>(i);
  for (Index first = 0; first < kLanes; first += O::width) {
    V<T> r[O::width];
    for (Index i = 0; i < O::width; ++i) {
      V<T> s[O::per_panel] = {};
      const Index u = first + i;
      for (Index p = 0; u < units && p * kLanes < rows; ++p) {
        for (int v = 0; v < O::per_panel; ++v) {
          const Index o = u * kLanes + v * O::width, left = rows - p * kLanes - v * O::width;
          if (left <= 0) break;
          V<T> one = O::load(x.panel(p) + o), other = y.data ? O::load(y.panel(p) + o) : O::set(1);
          if (centre) other = one = one - O::broadcast(centre + u);
          if (left < O::width) {
            const auto there = lane < O::set(static_cast<double>(left));
            one = O::select(there, one, V<T>{});
            other = O::select(there, other, V<T>{});
          }
          s[v] = O::fma(one, other, s[v]);
        }
      }
      for (int half = O::per_panel / 2; half > 0; half /= 2) {
        for (int v = 0; v < half; ++v) s[v] += s[v + half];
      }
      r[i] = s[0];
    }
    transpose_square<T>(r);
    RG_UNROLL for (int half = O::width / 2; half > 0; half /= 2) {
      RG_UNROLL for (int i = 0; i < half; ++i) r[i] += r[i + half];
    }
    O::store(out + first, r[0]);
  }
}

template <class T>
void normalise_units(Index units, int lanes, const T* mean, const T* rstd, const T* gamma, const T* beta, const T* z, T* hat,
                     T* a) {
  using O = Ops<T>;
  for (Index u = 0; u < units; ++u) {
    const V<T> m = O::broadcast(mean + u), r = O::broadcast(rstd + u), g = O::broadcast(gamma + u), b = O::broadcast(beta + u);
    for (Index o = u * kLanes, end = o + vectors<T>(lanes) * O::width; o < end; o += O::width) {
      const V<T> h = (O::load(z + o) - m) * r;
      if (hat) O::store(hat + o, h);
      O::store(a + o, O::fma(g, h, b));
    }
  }
}

template <class T>
void denormalise_units(Index units, int lanes, const T* mean, const T* slope, const T* factor, const T* hat, T* d) {
  using O = Ops<T>;
  for (Index u = 0; u < units; ++u) {
    const V<T> m = O::broadcast(mean + u), k = O::broadcast(slope + u), f = O::broadcast(factor + u);
    for (Index o = u * kLanes, end = o + vectors<T>(lanes) * O::width; o < end; o += O::width) {
      O::store(d + o, O::fma(-O::load(hat + o), k, O::load(d + o) - m) * f);
    }
  }
}

template <class T>
constexpr Norms<T> norm_kernels() {
  Norms<T> table{};
  table.limit_norm = limit_norm<T>;
  table.normalise_rows = normalise_rows<T>;
  table.denormalise_rows = denormalise_rows<T>;
  table.unit_sums = unit_sums<T>;
  table.normalise_units = normalise_units<T>;
  table.denormalise_units = denormalise_units<T>;
  return table;
}

}  // namespace
}  // namespace retrograd
