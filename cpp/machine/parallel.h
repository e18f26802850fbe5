// Threads: how many a call gets, the guards around fork, the CPU limit of a container, and the question
// whether the caller wants to stop. The threads themselves are in team.h; this room knows no networks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

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

// Whether RETROGRAD_PLAN leaves it to measurements how work is done: it does unless it is "default". It throws
// std::invalid_argument where it is anything else.
bool plans_are_measured();

// The threads that calls of this process use at this moment.
int threads_in_use();

// How many forks lie between this process and the one that loaded the library. What other threads held
// before the last fork, nobody holds any more.
std::uint32_t forks();

// Whether the threads that this process had are lost, because it is a forked child.
bool threads_are_lost();

// Notes that a team has run: children that are forked from now on take one thread.
void note_team();

// Whether the system can start so many more threads at this moment.
bool can_start(int threads);

// Counts threads as busy while it lives. It does not count down in a child that its thread has forked
// meanwhile (a signal handler may do that), because the child's count began at 0.
class Busy {
 public:
  explicit Busy(int threads);
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { become(0); }

  // From now on it counts for so many.
  void become(int threads);

 private:
  int threads_;
  std::uint32_t since_;
};

// A share of some work: part `id` of `size` nearly equal ones. Without arguments it is all of it.
struct Share {
  Index id = 0;
  Index size = 1;

  // The share of `count` things is begin..end; it ends where that of part id + 1 begins.
  Index begin(Index count) const { return cut(count, size, id); }
  Index end(Index count) const { return cut(count, size, id + 1); }
};

// A question to the caller; true means stop. It is asked only on the thread that made the call.
struct Poll {
  bool (*ask)(void* context) = nullptr;
  void* context = nullptr;
};

// Whether a call is to stop; all who work on the call share it.
class Interrupt {
 public:
  explicit Interrupt(Poll poll) : poll_(poll), asked_(std::chrono::steady_clock::now()) {}
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }
  // How long the caller was asked so far, which is no part of the work.
  double seconds_of_asking() const { return seconds_; }

 private:
  friend class InterruptWatch;
  void look();

  Poll poll_;
  std::chrono::steady_clock::time_point asked_;
  std::atomic<bool> stop_{false};
  double work_ = 0;     // of the caller, since it last looked at the clock
  double seconds_ = 0;  // that questions took
};

// One worker's view of an Interrupt, for a piece of work. It counts work and, after enough of it, looks at the
// clock (worker 0, which is the caller and whose count goes on from piece to piece) and at the flag (all).
class InterruptWatch {
 public:
  explicit InterruptWatch(Interrupt& interrupt, int worker = 0) : interrupt_(interrupt), asks_(worker == 0) {}
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  // Adds work that was done. True means that the caller wants to stop.
  bool spent(double flops) {
    double& work = asks_ ? interrupt_.work_ : work_;
    work += flops;
    if (work < 1e6) return false;
    work = 0;
    if (asks_) interrupt_.look();
    return interrupt_.stopped();
  }

 private:
  Interrupt& interrupt_;
  double work_ = 0;
  bool asks_;
};

}  // namespace retrograd
