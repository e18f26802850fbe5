// See random.h.
#include "base/random.h"

#include "base/scalar.h"

namespace retrograd {

double normal(std::uint64_t seed, Stream stream, std::uint32_t index, std::uint64_t element) {
  constexpr std::uint64_t attempts = 64;  // an attempt fails with probability 0.215
  for (std::uint64_t i = 0; i < attempts; ++i) {
    const Philox p = philox(seed, stream, index, element * attempts + i);
    const auto signed_unit = [](std::uint32_t low, std::uint32_t high) {
      const std::uint64_t bits = (std::uint64_t{high} << 32 | low) >> 12;
      return (static_cast<double>(bits) + 0.5) * 0x1p-51 - 1.0;
    };
    const double x = signed_unit(p.word[0], p.word[1]), y = signed_unit(p.word[2], p.word[3]);
    const double s = x * x + y * y;
    if (s < 1.0) return x * std::sqrt(-2.0 * math::log<Scalar<double>>(s) / s);
  }
  return 0.0;
}

void draw_blocks(std::uint64_t seed, Stream stream, std::uint32_t index, std::uint64_t first, BlockPairs& pairs) {
  for (int b = 0; b < kBlocks; ++b) {
    const Philox p = philox(seed, stream, index, first + static_cast<std::uint64_t>(b));
    for (int half = 0; half < 2; ++half) pairs[half][b] = std::uint64_t{p.word[2 * half + 1]} << 32 | p.word[2 * half];
  }
}

namespace {

// Throws `Dice` dice with each number, for the places from i - 1 down, and gives what i is afterwards. A die of i sides is
// a 64-bit word times i: the upper half of the product is what it shows, and the fraction left over is the next die's word.
template <int Dice>
std::uint32_t deal(const BlockPairs& pairs, std::uint32_t i, std::uint32_t* order) {
  for (int b = 0; b < kBlocks; ++b) {
    for (int half = 0; half < 2; ++half) {
      std::uint64_t word = pairs[half][b];
      for (int d = 0; d < Dice; ++d) {
        if (i <= 1) return i;
        const unsigned __int128 product = static_cast<unsigned __int128>(word) * i;
        std::swap(order[--i], order[static_cast<std::uint32_t>(product >> 64)]);
        word = static_cast<std::uint64_t>(product);
      }
    }
  }
  return i;
}

}  // namespace

bool permutation(std::uint64_t seed, std::uint32_t epoch, std::uint32_t n, std::uint32_t* order, bool (*stop)(void*),
                 void* context, DrawBlocks draw) {
  for (std::uint32_t i = 0; i < n; ++i) order[i] = i;
  // Two dice to a word keep the bias under 2^-24 for n up to 2^20; one to a word keeps it under 2^-32 beyond.
  const auto deal_all = n <= (1u << 20) ? deal<2> : deal<1>;
  std::uint64_t block = 0;
  for (std::uint32_t i = n; i > 1; block += kBlocks) {
    if (block % 4096 == 0 && block > 0 && stop && stop(context)) return false;
    BlockPairs pairs;
    draw(seed, Stream::shuffle, epoch, block, pairs);
    i = deal_all(pairs, i, order);
  }
  return true;
}

}  // namespace retrograd
