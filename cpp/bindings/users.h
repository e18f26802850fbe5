// Who uses a network at the moment: either one call that trains or changes it, or any number of calls
// that read it. A call that does not go with these gets an error and does not wait; only an epoch that
// is asked for as `patient` waits for readers.
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>

#include "bindings/gil.h"

namespace retrograd {

// The count of users. A forked child has none of its parent's readers. If a thread of the parent was
// training, the network stays taken in the child, because its weights are those of the middle of a step.
class NetworkUsers {
 private:
  friend class NetworkUse;
  struct alignas(8) State {
    std::uint32_t since;  // forks() at the last change
    std::int32_t count;   // readers, or -1
  };
  std::atomic<State> state_{State{0, 0}};
};

// One use of a network, for as long as this object lives.
class NetworkUse {
 public:
  // alone_patiently waits for readers, each of whom is soon done; Ctrl-C ends the wait.
  enum Kind { reading, alone, alone_patiently };

  NetworkUse(NetworkUsers& users, Kind kind) : users_(users), alone_(kind != reading), since_(forks()) {
    State seen = users_.state_.load(), taken;
    do {
      while (kind == alone_patiently && seen.since == since_ && seen.count > 0) {
        {
          const WithoutGil release;
          std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        seen = users_.state_.load();
      }
      const int count = seen.since == since_ ? seen.count : std::min(seen.count, 0);
      if (count < 0) {
        throw std::runtime_error(seen.since == since_ ? "this network is in use: another thread trains it"
                                                      : "this network was in training when this process was forked");
      }
      if (alone_ && count > 0) {
        throw std::runtime_error("this network is in use: another thread reads it, so it cannot be trained or changed");
      }
      taken = {since_, alone_ ? -1 : count + 1};
    } while (!users_.state_.compare_exchange_weak(seen, taken));
  }
  NetworkUse(const NetworkUse&) = delete;
  NetworkUse& operator=(const NetworkUse&) = delete;
  ~NetworkUse() {
    State seen = users_.state_.load();
    while (seen.since == since_ && !users_.state_.compare_exchange_weak(seen, {since_, alone_ ? 0 : seen.count - 1})) {
    }
  }

 private:
  using State = NetworkUsers::State;
  NetworkUsers& users_;
  bool alone_;
  std::uint32_t since_;
};

}  // namespace retrograd
