// Dropout, noise and the blocks of a shuffle: random numbers by counter, drawn for as many rows at once as a
// vector has lanes. It is a part of kernels.cpp. The numbers are those of base/random.h to the last bit;
// nothing is kept from call to call.
#pragma once

#include "base/elementary.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

template <class T>
using U = typename Ops<T>::U;

// Philox on vectors (see base/random.h). The rows of a vector of float32 travel as two vectors of 64-bit lanes, the even ones
// and the odd ones, because a product takes 64 bits; only the lower half of a lane counts.
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

  // The numbers of units 4 block to 4 block + 3, for as many rows from `row` on as a vector has lanes.
  RG_INLINE void numbers(std::uint32_t block, std::uint32_t row, U<T> (&n)[4]) const {
    Wide c[parts][4];
    RG_UNROLL for (unsigned p = 0; p < parts; ++p) {
      c[p][0] = block - Wide{};
      c[p][1] = (lanes_ * parts + p) + row;
      c[p][2] = step_ - Wide{};
      c[p][3] = stream_ - Wide{};
    }
    run(c);
    RG_UNROLL for (int i = 0; i < 4; ++i) {
      const Wide even = c[0][i] & 0xffffffffu;
      if constexpr (parts == 2) {
        n[i] = reinterpret_cast<U<T>>(even | c[1][i] << 32);
      } else {
        n[i] = even;
      }
    }
  }

  // The blocks whose counters begin with the 64-bit numbers `first`, first + 1, ...: parts * width of them.
  static constexpr int width = Ops<double>::width;
  RG_INLINE void pairs(std::uint64_t first, std::uint64_t* a, std::uint64_t* b) const {
    Wide c[parts][4];
    RG_UNROLL for (unsigned p = 0; p < parts; ++p) {
      c[p][0] = lanes_ + (first + p * width);
      c[p][1] = c[p][0] >> 32;
      c[p][2] = step_ - Wide{};
      c[p][3] = stream_ - Wide{};
    }
    run(c);
    RG_UNROLL for (unsigned p = 0; p < parts; ++p) {
      const Wide low = (c[p][0] & 0xffffffffu) | c[p][1] << 32, high = (c[p][2] & 0xffffffffu) | c[p][3] << 32;
      __builtin_memcpy(a + p * width, &low, sizeof low);
      __builtin_memcpy(b + p * width, &high, sizeof high);
    }
  }

 private:
  RG_INLINE void run(Wide (&c)[parts][4]) const {
    for (int round = 0; round < kRounds; ++round) {
      RG_UNROLL for (unsigned p = 0; p < parts; ++p) {
        const Wide p0 = product_of_halves(c[p][0], 0xD2511F53u), p1 = product_of_halves(c[p][2], 0xCD9E8D57u);
        c[p][0] = (p1 >> 32) ^ c[p][1] ^ key0_[round];
        c[p][1] = p1;
        c[p][2] = (p0 >> 32) ^ c[p][3] ^ key1_[round];
        c[p][3] = p0;
      }
    }
  }

  static constexpr int kRounds = 10;
  std::uint32_t step_, stream_;
  Wide lanes_{};
  std::uint64_t key0_[kRounds], key1_[kRounds];
};

// Calls use(numbers of four units, offset of the first of them, how many are wanted) over [units][16].
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

void blocks(const Draw& draw, std::uint64_t first, Index count, std::uint64_t* a, std::uint64_t* b) {
  using G = Generator<float>;  // which takes two vectors at once
  const G generator(draw);
  for (Index i = 0; i < count; i += G::parts * G::width) generator.pairs(first + static_cast<std::uint64_t>(i), a + i, b + i);
}

template <class T>
constexpr Noise<T> noise_kernels() {
  Noise<T> table{};
  table.drop = drop<T>;
  table.add_noise = add_noise<T>;
  table.blocks = blocks;
  return table;
}

}  // namespace
}  // namespace retrograd
