// The numbers of a network as they were, to go back to. When that is, and what else goes back, is the
// epoch's business (trainer.h).
#pragma once

#include <algorithm>

#include "machine/parallel.h"
#include "network/network.h"

namespace retrograd {

template <class T>
class Snapshot {
 public:
  // Makes the memory, once.
  void prepare(const Network<T>& network) {
    if (!parameters_.data()) parameters_ = Arena<T>(network.parameters().size());
    if (!statistics_.data()) statistics_ = Arena<T>(network.statistics().size());
  }
  // Copies this share of the parameters and statistics, and the count of steps.
  void take(const Network<T>& network, const Share& share) {
    copy_share(network.parameters(), parameters_, share);
    copy_share(network.statistics(), statistics_, share);
    if (share.id == 0) steps_ = network.steps;
  }
  void put_back(Network<T>& network) const {
    copy_share(parameters_, network.parameters(), Share{});
    copy_share(statistics_, network.statistics(), Share{});
    network.steps = steps_;
  }

 private:
  static void copy_share(const Arena<T>& from, const Arena<T>& to, const Share& share) {
    const Index lines = from.size() / kLanes, begin = share.begin(lines) * kLanes, end = share.end(lines) * kLanes;
    std::copy(from.data() + begin, from.data() + end, to.data() + begin);
  }

  Arena<T> parameters_, statistics_;
  std::uint64_t steps_ = 0;  // Network::steps
};

}  // namespace retrograd
