// Dropout and noise: the numbers of Philox one by one.
#pragma once

#include "base/elementary.h"
#include "base/random.h"
#include "kernels/table.h"
#include "support/oracle/operations.h"

namespace retrograd::testing::oracle {

template <class O>
struct Noise {
  using T = typename O::T;

  static std::uint32_t number(const Draw& draw, Index unit, Index row) {
    const std::uint64_t block = static_cast<std::uint64_t>(row) << 32 | static_cast<std::uint64_t>(unit / 4);
    return philox(draw.seed, static_cast<Stream>(draw.stream), draw.step, block).word[unit % 4];
  }

  static void drop(Index units, int lanes, const Draw& draw, Index unit, Index row, std::uint32_t threshold, T scale,
                   const T* from, T* to) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        to[at(u, i)] = number(draw, unit + u, row + i) < threshold ? T(0) : from[at(u, i)] * scale;
      }
    }
  }

  static void add_noise(Index units, int lanes, const Draw& draw, Index unit, Index row, T deviation, const T* from, T* to) {
    for (Index u = 0; u < units; ++u) {
      for (Index i = 0; i < lanes; ++i) {
        const Index first = (unit + u) / 2 * 2;
        T pair[2];
        math::normal_pair<O>(number(draw, first, row + i), number(draw, first + 1, row + i), pair[0], pair[1]);
        to[at(u, i)] = O::fma(deviation, pair[u % 2], from[at(u, i)]);
      }
    }
  }

  static void blocks(const Draw& draw, std::uint64_t first, Index count, std::uint64_t* a, std::uint64_t* b) {
    for (Index i = 0; i < count; ++i) {
      const Philox p = philox(draw.seed, static_cast<Stream>(draw.stream), draw.step, first + static_cast<std::uint64_t>(i));
      a[i] = std::uint64_t{p.word[1]} << 32 | p.word[0];
      b[i] = std::uint64_t{p.word[3]} << 32 | p.word[2];
    }
  }
};

}  // namespace retrograd::testing::oracle
