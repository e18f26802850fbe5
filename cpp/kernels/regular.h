// The kernels of regularisation: dropout, noise, the limit on norms, normalisation. A part of kernels.cpp, which alone includes
// it; contracts are in kernels.h.
#pragma once

#include "kernels/table.h"
#include "base/elementary.h"
#include "kernels/simd.h"

namespace retrograd {
namespace {

// ---------------------------------------------------------------------------------------------- random numbers

template <class T>
using U = typename Ops<T>::U;

// Philox on vectors (see random.h). The rows of a vector of float32 travel as two vectors of 64-bit lanes, the even ones and
// the odd ones, as a product takes 64 bits; of a lane only the lower half counts.
template <class T>
class Generator {
 public:
  static constexpr unsigned parts = 8 / sizeof(T);

  explicit RG_INLINE Generator(const Draw& draw) : step_(draw.step), stream_(draw.stream) {
    std::uint32_t k0 = static_cast<std::uint32_t>(draw.seed), k1 = static_cast<std::uint32_t>(draw.seed >> 32);
    for (int round = 0; round < kRounds; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
      key0_[round] = k0;
      key1_[round] = k1;
    }
    for (std::uint64_t i = 0; i < Ops<double>::width; ++i) lanes_[i] = i;
  }

  // The numbers of units 4 block to 4 block + 3 for as many rows as a vector has lanes, from `row` on.
  RG_INLINE void numbers(std::uint32_t block, std::uint32_t row, U<T> (&n)[4]) const {
    Wide c[parts][4];
    RG_UNROLL for (unsigned p = 0; p < parts; ++p) {
      c[p][0] = block - Wide{};
      c[p][1] = (lanes_ * parts + p) + row;
      c[p][2] = step_ - Wide{};
      c[p][3] = stream_ - Wide{};
    }
    for (int round = 0; round < kRounds; ++round) {
      RG_UNROLL for (unsigned p = 0; p < parts; ++p) {
        const Wide p0 = product_of_halves(c[p][0], 0xD2511F53u), p1 = product_of_halves(c[p][2], 0xCD9E8D57u);
        c[p][0] = (p1 >> 32) ^ c[p][1] ^ key0_[round];
        c[p][1] = p1;
        c[p][2] = (p0 >> 32) ^ c[p][3] ^ key1_[round];
        c[p][3] = p0;
      }
    }
    RG_UNROLL for (int i = 0; i < 4; ++i) {
      const Wide even = c[0][i] & 0xffffffffu;
      if constexpr (parts == 2) {
        n[i] = reinterpret_cast<U<T>>(even | c[1][i] << 32);
      } else {
        n[i] = even;
      }
    }
  }

 private:
  static constexpr int kRounds = 10;
  std::uint32_t step_, stream_;
  Wide lanes_{};
  std::uint64_t key0_[kRounds], key1_[kRounds];
};

// use(numbers of four units, offset of the first of them, how many are wanted) over [units][16].
template <class T, class F>
RG_INLINE void each_four(Index units, int lanes, const Draw& draw, Index unit, Index row, F use) {
  const Generator<T> generator(draw);
  for (int v = 0; v < vectors<T>(lanes); ++v) {
    const std::uint32_t first = static_cast<std::uint32_t>(row) + static_cast<std::uint32_t>(v * Ops<T>::width);
    for (Index u = 0; u < units; u += 4) {
      U<T> n[4];
      generator.numbers(static_cast<std::uint32_t>((unit + u) / 4), first, n);
      use(n, u * kLanes + v * Ops<T>::width, units - u);
    }
  }
}

template <class T>
void drop(Index units, int lanes, const Draw& draw, Index unit, Index row, std::uint32_t threshold, T scale, const T* from,
          T* to) {
  using O = Ops<T>;
  const U<T> limit = threshold - U<T>{};
  const V<T> factor = O::broadcast(&scale);
  each_four<T>(units, lanes, draw, unit, row, [&](const U<T>(&n)[4], Index o, Index left) RG_LAMBDA {
    RG_UNROLL for (int i = 0; i < 4; ++i) {
      if (i >= left) break;
      O::store(to + o + i * kLanes, O::select(n[i] < limit, V<T>{}, O::load(from + o + i * kLanes) * factor));
    }
  });
}

template <class T>
void add_noise(Index units, int lanes, const Draw& draw, Index unit, Index row, T deviation, const T* from, T* to) {
  using O = Ops<T>;
  const V<T> factor = O::broadcast(&deviation);
  each_four<T>(units, lanes, draw, unit, row, [&](const U<T>(&n)[4], Index o, Index left) RG_LAMBDA {
    V<T> noise[4];
    math::normal_pair<O>(n[0], n[1], noise[0], noise[1]);
    math::normal_pair<O>(n[2], n[3], noise[2], noise[3]);
    RG_UNROLL for (int i = 0; i < 4; ++i) {
      if (i >= left) break;
      O::store(to + o + i * kLanes, O::fma(factor, noise[i], O::load(from + o + i * kLanes)));
    }
  });
}

// ---------------------------------------------------------------------------------------------- norms of columns

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
    const V<T> factor = O::select(norm > limit, limit / norm, O::set(1)) + (sum - sum);  // infinity: NaN
    bool scaled = false;
    for (int l = 0; l < O::width; ++l) scaled |= !(factor[l] == T(1));
    for (Index r = 0; scaled && r < rows; ++r) O::store(p + r * kLanes, O::load(p + r * kLanes) * factor);
  }
}

// ---------------------------------------------------------------------------------------------- normalisation

// f(unit) summed over units in four chains.
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

}  // namespace
}  // namespace retrograd
