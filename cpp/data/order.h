// The order in which an epoch takes its rows: drawn once, and kept for the parts of an epoch that come in several calls.
#pragma once

#include "base/arena.h"
#include "machine/parallel.h"

namespace retrograd {

class EpochOrder {
 public:
  // Memory for fewer than 2^32 rows.
  void prepare(Index rows);

  // The order of one epoch, a shuffle that seed and epoch fix; false: interrupted. Asked for the order that it holds, it does
  // nothing.
  bool draw(std::uint64_t seed, std::uint32_t epoch, Interrupt& interrupt);

  const std::uint32_t* data() const { return order_.data(); }

 private:
  Arena<std::uint32_t> order_;
  bool drawn_ = false;
  std::uint64_t seed_ = 0;
  std::uint32_t epoch_ = 0;
};

}  // namespace retrograd
