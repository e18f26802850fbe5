// Which of some candidates takes the next steps: they are measured in turns, the fastest goes on, and it is measured again
// when it becomes slower than it was found to be, or when it is time to look at another. A candidate is a number here; what
// it stands for is another file's matter (network/plan.h). There is no clock here either: the caller says how long steps took.
// All decisions follow from these times alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/panel.h"

namespace retrograd {

class Choice {
 public:
  static constexpr std::size_t kMost = 8;  // candidates

  // Candidates, the likeliest first: teams[i] says whether candidate i is a team of threads, which other processes can hold
  // up. At least one and at most kMost.
  explicit Choice(const std::vector<bool>& teams);
  Choice() : Choice(std::vector<bool>{false}) {}

  // Always candidate i; and another one at every step, drawn from the seed. Neither measures anything.
  static Choice fixed(std::size_t count, Index i);
  static Choice random(std::size_t count, std::uint64_t seed);

  // The candidate that takes the next steps, and how many of them before took() is to be called. Fewer are allowed too.
  Index current() const { return current_; }
  Index steps_at_once() const { return steps_; }

  // Tells that `steps` steps by current() took so many seconds together. `late`: a thread of the team was interrupted while it
  // had work in hand, and the caller had to wait for it. Steps of fewer rows than the others must be left out.
  void took(double seconds, Index steps, bool late) {
    const double each = steps == 1 ? seconds : seconds / static_cast<double>(steps);
    now_ += seconds;
    credit_ += kTryingShare * seconds;
    balance_ += alone_ * static_cast<double>(steps) - seconds;
    last_[at_] = each;
    at_ = at_ + 1 == kLast ? 0 : at_ + 1;
    slow_ = slow_ << 1 & ((1u << kLast) - 1);
    if (each > limit_ || late || now_ >= event_) look(seconds, each, steps, late);
  }

  // Tells that something else has run since the last steps, so that the next ones may be slow without a meaning. Where that
  // is so every few steps, it is how these steps are, and is not listened to.
  void resume();
  // A copy that goes on with what is known, for another call.
  Choice for_next_call() const;

  bool measures() const { return phase_ != Phase::fixed && phase_ != Phase::random; }
  // Whether all turns have been taken. Until then the best is the best so far.
  bool settled() const { return phase_ != Phase::turns; }
  Index best() const;
  // The seconds that a step of candidate i takes, as far as is known; else 0.
  double promised(Index i) const { return promised_[at(i)]; }

  // Why best() was chosen, with the times of all: "measured: 12.1 us; panels, 1 thread: 13 us". `names` has one for each.
  std::string reason(const std::vector<std::string>& names) const;

 private:
  enum class Phase { turns, running, trying, fixed, random };
  static constexpr std::size_t kLast = 9;  // blocks that are remembered of the candidate in use
  // Trying others may cost this share of the time.
  static constexpr double kTryingShare = 0.02;

  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  bool is_team(Index i) const { return teams_ >> i & 1; }
  Index likeliest_alone() const;
  double kth_of_last(std::size_t k) const;
  double best_alone() const;
  double lowest_promise() const;
  double expected_cost(Index i, double reference) const;

  void look(double seconds, double each, Index steps, bool late);
  bool spoilt(double seconds, double each, Index steps, bool late, bool warm) const;
  void turn(double seconds, double each, Index steps, bool late);
  void next_turn();
  void settle();
  void run(Index i);
  void ran(double seconds, double each, Index steps, bool late);
  void adjust();
  void slower();
  void leave_team(double seconds, Index steps);
  void team_failed(double cost);
  void plan_ahead();
  bool start_trial();
  void trial(double seconds, double each, Index steps, bool late);
  void trial_failed(bool team_is_late);
  void trial_won();
  void draw();

  // The steady state is one line of memory or two.
  double now_ = 0;      // the sum of all times told
  double event_ = 0;    // look() is called from this time on
  double limit_ = 0;    // and for blocks whose steps are longer than this
  double credit_ = 0;   // what trying may cost at this moment
  double balance_ = 0;  // what the team has won since it came, against one thread
  double alone_ = 0;    // a step by one thread, while a team runs
  unsigned slow_ = 0;   // a bit for each of the last blocks: it was slow
  std::size_t at_ = 0;
  std::array<double, kLast> last_{};  // seconds of a step in the last blocks

  Phase phase_ = Phase::turns;
  Index count_ = 1, current_ = 0, steps_ = 1;
  std::uint32_t teams_ = 0;
  bool warm_ = true;        // the next block is the first after a change, and its time says little
  bool was_known_ = false;  // from before, without turns
  double deaf_until_ = 0;   // to resume()
  std::array<double, kMost> promised_{};
  std::array<double, kMost> pause_{}, next_{};  // when each is tried again
  double team_pause_ = 0, team_next_ = 0;       // when any team is
  double team_risk_ = 0;                        // what the last team cost that was late
  int left_ = 0;                                // how often a team was left at once

  // Turns and trials.
  std::array<int, kMost> counted_{};   // times of each; -1: it has not even been warm
  std::uint32_t out_ = 0;              // takes no more turns
  std::uint32_t later_ = 0;            // takes its first turn after the others
  std::array<double, kMost> first_{};  // of the first time, which counts if there is no other
  Index from_ = 0;                     // who ran before the trial
  int blocks_ = 0;
  double lowest_ = 0, reference_ = 0, cost_ = 0, kept_balance_ = 0;
  std::uint64_t dice_ = 0;
};

}  // namespace retrograd
