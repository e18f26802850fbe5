// The order in which an epoch takes its rows: drawn once, and kept for an epoch that is run in several
// calls. The shuffle itself is base/random.h's.
#pragma once

#include "base/arena.h"
#include "machine/parallel.h"

namespace retrograd {

class EpochOrder {
 public:
  // Makes the memory. `rows` must be below 2^32.
  void prepare(Index rows);

  // Draws the order of one epoch, a shuffle that seed and epoch fix; false: interrupted. If it already
  // holds that order, it does nothing.
  bool draw(std::uint64_t seed, std::uint32_t epoch, Interrupt& interrupt);

  const std::uint32_t* data() const { return order_.data(); }

 private:
  Arena<std::uint32_t> order_;
  bool drawn_ = false;
  std::uint64_t seed_ = 0;
  std::uint32_t epoch_ = 0;
};

}  // namespace retrograd
