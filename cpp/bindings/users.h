// Who uses a network at the moment: one who trains or changes it, or any number who read it. Whoever comes in between gets an
// error, not a wait; only an epoch between two others waits, and says so (`patient`).
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>

#include "bindings/gil.h"

namespace retrograd {

// The count of them. A forked child has none of its parent's readers; but what another thread trained there stays taken, for
// its weights are those of the midst of a step.
class NetworkUsers {
 private:
  friend class NetworkUse;
  struct alignas(8) State {
    std::uint32_t since;  // forks() at the last change
    std::int32_t count;   // readers, or -1
  };
  std::atomic<State> state_{State{0, 0}};
};

// One use, while it lives.
class NetworkUse {
 public:
  enum Kind { reading, alone, alone_patiently };  // patiently: it waits for readers, each of whom is soon done; Ctrl-C ends it

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
