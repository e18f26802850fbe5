// See order.h.
#include "data/order.h"

#include <limits>

#include "base/random.h"
#include "kernels/dispatch.h"

namespace retrograd {

void EpochOrder::prepare(Index rows) {
  if (order_.size() == rows) return;
  order_ = Arena<std::uint32_t>(rows);
  drawn_ = false;
}

bool EpochOrder::draw(std::uint64_t seed, std::uint32_t epoch, Interrupt& interrupt) {
  if (drawn_ && seed_ == seed && epoch_ == epoch) return true;
  drawn_ = false;
  InterruptWatch watch(interrupt);
  const auto stop = [](void* context) { return static_cast<InterruptWatch*>(context)->spent(1e6); };
  const auto blocks = [](std::uint64_t key, Stream stream, std::uint32_t index, std::uint64_t first, BlockPairs& pairs) {
    active_kernels<float>().blocks({key, index, static_cast<std::uint32_t>(stream)}, first, kBlocks, pairs[0], pairs[1]);
  };
  if (!permutation(seed, epoch, static_cast<std::uint32_t>(order_.size()), order_.data(), stop, &watch, blocks)) return false;
  drawn_ = true;
  seed_ = seed;
  epoch_ = epoch;
  return true;
}

}  // namespace retrograd
