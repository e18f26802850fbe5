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
  // Copies this member's share of the parameters and statistics, and the count of steps.
  void take(const Network<T>& network, const Member& member) {
    copy_share(network.parameters(), parameters_, member);
    copy_share(network.statistics(), statistics_, member);
    if (member.id == 0) steps_ = network.steps;
  }
  void put_back(Network<T>& network) const {
    copy_share(parameters_, network.parameters(), Member{});
    copy_share(statistics_, network.statistics(), Member{});
    network.steps = steps_;
  }

 private:
  static void copy_share(const Arena<T>& from, const Arena<T>& to, const Member& member) {
    const Index lines = from.size() / kLanes, begin = member.begin(lines) * kLanes, end = member.end(lines) * kLanes;
    std::copy(from.data() + begin, from.data() + end, to.data() + begin);
  }

  Arena<T> parameters_, statistics_;
  std::uint64_t steps_ = 0;  // Network::steps
};

}  // namespace retrograd
