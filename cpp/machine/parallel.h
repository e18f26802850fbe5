// Threads: how many a call gets, the team and its barrier, the guards around fork, the CPU limit of a
// container, and the question whether the caller wants to stop. No other file of the core knows OpenMP,
// and this room knows no networks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "base/choices.h"
#include "base/panel.h"

namespace retrograd {

// The threads that a call may use now: the least of OpenMP's own limit (threadpoolctl sets it),
// OMP_NUM_THREADS as it is in the environment at this moment, and, where that is unset, the CPUs that
// affinity and the container's quota allow. It is 1 in a forked child whose parent had a team, because
// the team's threads did not survive the fork, and in any child where libomp is told not to begin anew
// there (KMP_INIT_AT_FORK=FALSE, as scikit-learn sets it).
int max_threads();

// The CPUs granted by the cgroup of this process (quota / period, rounded up), or 0 where there is no
// limit. `root` is "" outside of tests; in tests it is a folder that stands for the file system.
int cgroup_cpus(const std::string& root);

// The team that a caller asks for: at most `wish` threads (0: no wish). `exactly` > 0, which only tests
// use, asks for a team of just that size, whatever the work.
struct Threads {
  int wish = 0;
  int exactly = 0;
};

// How many threads work of so many flops is worth: one for each kFlopsPerThread, but at most `shares` (the pieces into
// which the work falls) and at most `limit`; always at least one.
int threads_that_pay(double flops, Index shares, int limit);

// How many threads work of so many flops gets: one for each kFlopsPerThread, but at most `shares` (the
// pieces into which the work falls), at most the caller's wish, and at most those of max_threads() that
// no other call of this process uses at the moment; always at least one. Several fits at the same time
// thus share the CPUs instead of each spinning on all of them.
int team_size(double flops, Index shares, Threads threads);

std::string openmp_description();

// How many forks lie between this process and the one that loaded the library. What other threads held
// before the last fork, nobody holds any more.
std::uint32_t forks();

// A barrier that spins, then yields: 0.05 us where every thread has a core, and still
// right where threads share one.
class Barrier {
 public:
  void wait(int size);

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> round_{0};
};

// One thread of a team; member 0 is the thread that called.
struct Member {
  int id = 0;
  int size = 1;
  Barrier* barrier = nullptr;

  void wait() const {
    if (size > 1) barrier->wait(size);
  }
  // Member i's share of `count` things is begin..end; the share of member i ends where
  // that of member i + 1 begins.
  Index begin(Index count) const { return cut(count, size, id); }
  Index end(Index count) const { return cut(count, size, id + 1); }
};

// Runs body(context, member) on a team of at most `size` threads: fewer where OpenMP gives fewer, one
// where the system has no more. Member::size says how many there are. The body must not throw. Returns
// the number of threads that ran.
int run_team(int size, void (*body)(void* context, const Member& member), void* context);

template <class F>
int run_team(int size, F&& body) {
  return run_team(
      size, [](void* context, const Member& member) { (*static_cast<std::remove_reference_t<F>*>(context))(member); },
      static_cast<void*>(std::addressof(body)));
}

// A question to the caller; true means stop. It is asked only on the thread that made the call.
struct Poll {
  bool (*ask)(void* context) = nullptr;
  void* context = nullptr;
};

// Whether a call is to stop; the whole team of the call shares it.
class Interrupt {
 public:
  explicit Interrupt(Poll poll) : poll_(poll), asked_(std::chrono::steady_clock::now()) {}
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

 private:
  friend class InterruptWatch;
  void look();

  Poll poll_;
  std::chrono::steady_clock::time_point asked_;
  std::atomic<bool> stop_{false};
};

// One member's view of an Interrupt. It counts work and, after enough of it, looks at the clock
// (member 0) and at the flag (all).
class InterruptWatch {
 public:
  InterruptWatch(Interrupt& interrupt, const Member& member) : interrupt_(interrupt), asks_(member.id == 0) {}

  // Adds work that was done. True means that the caller wants to stop.
  bool spent(double flops) {
    work_ += flops;
    if (work_ < 1e6) return false;
    work_ = 0;
    if (asks_) interrupt_.look();
    return interrupt_.stopped();
  }

 private:
  Interrupt& interrupt_;
  double work_ = 0;
  bool asks_;
};

}  // namespace retrograd
