// How many threads a call takes whose work is not a training step: predict, the stages by hand, a search for NaN. It is
// measured as plans of steps are (choice.h): one thread and a team take turns, and a team that does not pay is left.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>

#include "machine/choice.h"
#include "machine/parallel.h"

namespace retrograd {

class TeamChoices {
 public:
  TeamChoices() = default;
  TeamChoices(const TeamChoices&) = delete;
  TeamChoices& operator=(const TeamChoices&) = delete;

 private:
  // Calls of one kind, whose work lies between a power of two and the next.
  struct Entry {
    int kind = 0, power = 0, most = 0;  // most: the threads of the team; 0: the entry is free
    bool team_first = false;            // of the two candidates; the likelier is the first
    std::atomic<bool> in_use{false};
    Choice choice;
  };

 public:
  // One call, from its beginning to the end of this object's life.
  class Turn {
   public:
    // `kind` tells calls of the same object apart that do different things. flops, shares, threads: as for
    // team_size. Without choices nothing is measured.
    Turn(TeamChoices* choices, int kind, double flops, Index shares, Threads threads);
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

    int threads() const { return threads_; }
    // The call is at its end; `late` as Team::was_late. Without it, the call counts for nothing.
    void end(bool late);

   private:
    Entry* entry_ = nullptr;
    int threads_ = 1;
    double work_ = 1;  // in powers of two: 1 to 2
    std::chrono::steady_clock::time_point begin_;
  };

 private:
  Entry* find(int kind, int power, int most, bool team_first);

  std::mutex mutex_;
  std::array<Entry, 8> entries_;
  std::size_t next_ = 0;  // the entry that is given away next
};

}  // namespace retrograd
