// Random numbers by counter: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). A number is a pure function of (seed, stream, index, element). There is
// no state, so neither threads nor the order of calls can change it. The generator on vectors, for
// dropout and noise, is in kernels/noise.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

namespace retrograd {

// What the numbers are for. Together with an index (layer, epoch) it makes a stream.
enum class Stream : std::uint32_t { weights = 1, shuffle = 2, dropout = 3, noise = 4, biases = 5 };

struct Philox {
  std::uint32_t word[4];
};

inline Philox philox(std::uint64_t seed, Stream stream, std::uint32_t index, std::uint64_t element) {
  std::uint32_t c[4] = {static_cast<std::uint32_t>(element), static_cast<std::uint32_t>(element >> 32), index,
                        static_cast<std::uint32_t>(stream)};
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0], p1 = std::uint64_t{0xCD9E8D57u} * c[2];
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1;
    c[0] = n0;
    c[1] = static_cast<std::uint32_t>(p1);
    c[2] = n2;
    c[3] = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c[0], c[1], c[2], c[3]}};
}

// The blocks of elements `first`, `first` + 1, ..., kBlocks of them: words 0 and 1 of each are one number of
// pairs[0], words 2 and 3 one of pairs[1].
constexpr int kBlocks = 16;
using BlockPairs = std::uint64_t[2][kBlocks];
using DrawBlocks = void (*)(std::uint64_t seed, Stream stream, std::uint32_t index, std::uint64_t first, BlockPairs& pairs);
void draw_blocks(std::uint64_t seed, Stream stream, std::uint32_t index, std::uint64_t first, BlockPairs& pairs);

// The stream of a layer at a training step. It packs the purpose into 4 bits, the layer into 16 and the
// upper half of the step into 12; the lower half of the step is the index.
inline Stream stream_of(Stream what, std::uint32_t layer, std::uint64_t step) {
  return static_cast<Stream>(static_cast<std::uint32_t>(what) | layer << 4 | static_cast<std::uint32_t>(step >> 32) << 20);
}

// A number that is uniform in the open interval (0, 1), with 52 bits.
inline double uniform(std::uint64_t seed, Stream stream, std::uint32_t index, std::uint64_t element) {
  const Philox p = philox(seed, stream, index, element);
  const std::uint64_t bits = (std::uint64_t{p.word[1]} << 32 | p.word[0]) >> 12;
  return (static_cast<double>(bits) + 0.5) * 0x1p-52;
}

// A standard normal number, by Marsaglia's polar method. The attempts are numbered, so that it too is a
// function of the counter. It needs only basic operations, sqrt (correctly rounded everywhere) and a
// series for the logarithm, and so has the same bits on every machine.
double normal(std::uint64_t seed, Stream stream, std::uint32_t index, std::uint64_t element);

// Writes a shuffle of 0..n-1 for one epoch to `order`, by Fisher and Yates. `stop`, where given, is asked at
// least once in each millisecond; if it says true, the function returns false and the order is unfinished. `draw`
// may give the same numbers in a faster way.
bool permutation(std::uint64_t seed, std::uint32_t epoch, std::uint32_t n, std::uint32_t* order,
                 bool (*stop)(void* context) = nullptr, void* context = nullptr, DrawBlocks draw = draw_blocks);

}  // namespace retrograd
