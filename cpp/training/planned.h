// The plans for the steps of a trainer: the list for its batches, the choice among them, and the memory that each
// needs. Which plans there are is said in network/plan.h, how one is chosen in machine/choice.h, how a step is done in step.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "network/narrow.h"
#include "network/plan_table.h"
#include "network/workspace.h"

namespace retrograd {

// How plans are chosen. Only tests ask for another way than measuring.
struct Planning {
  enum class Mode { measured, fixed, random } mode = Mode::measured;
  Index number = 0;        // fixed: of the candidate
  std::uint64_t seed = 0;  // random
  // Called before each step with the number of its candidate, in the time that is measured; null: nothing is.
  void (*before_step)(void* context, Index candidate) = nullptr;
  void* context = nullptr;

  // Whether the same plans are chosen in the same way.
  bool operator==(const Planning& other) const { return mode == other.mode && number == other.number && seed == other.seed; }
};

// The memory for steps by one plan, or by several that differ in their team, its split or their vectors alone.
template <class T>
struct StepMemory {
  std::unique_ptr<Workspace<T>> panels;
  std::unique_ptr<NarrowWork<T>> narrow;
};

template <class T>
class Planned {
 public:
  explicit Planned(const Network<T>& network) : network_(network) {}
  Planned(const Planned&) = delete;
  Planned& operator=(const Planned&) = delete;
  ~Planned();

  // For steps on such batches. It keeps what it has where nothing has changed. `threads` is what the call may use.
  void prepare(Index batch, Source source, Threads threads, const Planning& planning);

  Index batch() const { return key_.batch; }
  const std::vector<Plan>& plans() const { return plans_; }
  // The threads that the largest team has.
  int most_threads() const { return most_threads_; }
  // Those of the process at the last prepare(), if they could matter.
  int max_threads() const { return max_threads_; }

  // The plan of the next steps. Its memory is there; where the system has none for it, another plan is taken.
  const Plan& next();
  Index current() const { return choice_.current(); }
  const StepMemory<T>& memory() const { return *memory_of_current_; }
  Index steps_at_once() const { return choice_.steps_at_once(); }

  // Whether times are wanted of the next steps, of which there will be so many.
  bool wants_time(Index steps) {
    // Of a team it is always told whether it was late.
    return measures_ && (plans_[static_cast<std::size_t>(in_memory_)].team > 1 || steps >= choice_.steps_at_once() ||
                         !choice_.settled() || ++untimed_ % kUntimed == 0);
  }
  void took(double seconds, Index steps, bool late) { choice_.took(seconds, steps, late); }
  void resume() { choice_.resume(); }

  // Frees what is not in use, once it is clear which plan that is, and tells the process of it (plan_table.h).
  void tidy();

  // The plans in words, which of them is the best (-1: there is none yet), and why.
  std::vector<std::string> names() const;
  Index best() const { return ready_ ? choice_.best() : -1; }
  std::string reason() const { return ready_ ? choice_.reason(names()) : ""; }

 private:
  static constexpr unsigned kUntimed = 16;  // of single short steps one in so many is timed: a look at the clock costs 20 ns

  struct Memory {
    Plan plan;  // whose team, split and vectors do not matter
    StepMemory<T> parts;
  };
  const StepMemory<T>& memory_for(const Plan& plan);

  const Network<T>& network_;
  bool ready_ = false;  // all that follows is there
  PlanKey key_;
  Planning planning_;
  std::vector<Plan> plans_;
  std::vector<Memory> memory_;
  const StepMemory<T>* memory_of_current_ = nullptr;
  Index in_memory_ = -1;  // the plan whose memory that is
  Choice choice_;
  bool measures_ = false;  // it has a choice, and times are told
  bool known_ = false;     // the process has been told of what was found
  int most_threads_ = 1, max_threads_ = 1;
  unsigned untimed_ = 0;
};

}  // namespace retrograd
