// See choice.h.
#include "machine/choice.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace retrograd {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// A block is told the clock after so many seconds of steps: a time stamp costs 0.02 us. Trials are short, because
// each of their steps may be a bad one.
constexpr double kBlock = 10e-6, kTrialBlock = 2e-6;
constexpr Index kMostSteps = 1000;

// Where a step takes so many times the best one's, a candidate is left after one time. It takes no second turn where the
// better of two is so far behind.
constexpr double kHopeless = 1.5, kBehind = 1.07;

// A trial is given up after one time that is so far behind, and never takes more times than this.
constexpr double kLost = 1.2;
constexpr int kTimes = 3;

// Differences below this are noise: the likelier is chosen, and one thread before a team.
constexpr double kEqual = 1.02;

// Steps have become slower where most of the last blocks took so many times what was promised.
constexpr double kSlower = 1.25;
constexpr int kMostOfLast = 5;

// The promise is looked over once in so many blocks.
constexpr double kBlocksBetween = 32;

// Calls of fewer blocks than this have no first block that differs from the others.
constexpr double kBlocksBetweenCalls = 8;

// Pauses before another trial, in seconds. The first one is for what was chosen and became slow, the second for what lost.
constexpr double kFirstPause = 0.02, kLoserPause = 0.1, kHopelessPause = 1, kLongestPause = 4;

// A team that has failed is away for so many times what it has cost, if earlier gains have paid for that, or not; after that
// for twice as long each time. One that has paid is away for a few steps.
constexpr double kPaidPause = 5, kUnpaidPause = 50, kStepsAway = 2;

// A team may have to wake its threads first, which takes up to so long.
constexpr double kWaking = 200e-6;

// A team is not left for a block that was slow by less than this: such interruptions come and go on every machine.
constexpr double kHiccup = 300e-6;

// Trying may not cost more at once than its share of a second.
constexpr double kMostCredit = 0.02;
constexpr double kMostCreditSteps = 20;

Index steps_in(double block, double each) {
  if (!(each > 0)) return 1;
  return static_cast<Index>(std::clamp(std::ceil(block / each), 1.0, static_cast<double>(kMostSteps)));
}

std::string in_words(double seconds) {
  char text[32];
  const double us = seconds * 1e6;
  if (us < 1000) {
    std::snprintf(text, sizeof text, "%.3g us", us);
  } else {
    std::snprintf(text, sizeof text, "%.3g ms", us / 1000);
  }
  return text;
}

}  // namespace

// ---------------------------------------------------------------------------------------------- making

Choice::Choice(const std::vector<bool>& teams) : count_(static_cast<Index>(std::min(teams.size(), kMost))) {
  for (Index i = 0; i < count_; ++i) teams_ |= static_cast<std::uint32_t>(teams[at(i)]) << i;
  counted_.fill(-1);
  if (count_ == 1) run(0);
}

Choice Choice::fixed(std::size_t count, Index i) {
  Choice choice(std::vector<bool>(count, false));
  choice.phase_ = Phase::fixed;
  choice.current_ = i;
  return choice;
}

Choice Choice::random(std::size_t count, std::uint64_t seed) {
  Choice choice(std::vector<bool>(count, false));
  choice.phase_ = Phase::random;
  choice.event_ = -kNever;
  choice.dice_ = seed;
  choice.draw();
  return choice;
}

void Choice::draw() {  // splitmix64
  std::uint64_t z = dice_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  current_ = static_cast<Index>((z ^ (z >> 31)) % static_cast<std::uint64_t>(count_));
}

void Choice::resume() {
  if (!measures() || now_ < deaf_until_) return;
  const double lowest = lowest_promise(), each = lowest < kNever ? lowest : first_[at(current_)];
  if (!(each > 0)) return;  // this will be its first time anyway
  deaf_until_ = now_ + kBlocksBetweenCalls * each * static_cast<double>(steps_in(kBlock, each));
  warm_ = true;
  blocks_ = 0;
  if (phase_ == Phase::running) event_ = now_;
}

Choice Choice::for_next_call() const {
  Choice choice = *this;
  choice.was_known_ = settled();
  choice.resume();
  return choice;
}

// ---------------------------------------------------------------------------------------------- what is known

// The k-th lowest of the last times, counted from 0.
double Choice::kth_of_last(std::size_t k) const {
  std::array<double, kLast> sorted = last_;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(k), sorted.end());
  return sorted[k];
}

// The best candidate with one thread, or the likeliest of them, or -1.
Index Choice::likeliest_alone() const {
  Index best = -1;
  for (Index i = 0; i < count_; ++i) {
    if (is_team(i)) continue;
    const bool better =
        best >= 0 && promised_[at(i)] > 0 && (promised_[at(best)] == 0 || promised_[at(i)] < promised_[at(best)]);
    if (best < 0 || better) best = i;
  }
  return best;
}

double Choice::best_alone() const {
  const Index i = likeliest_alone();
  return i < 0 ? 0 : promised_[at(i)];
}

Index Choice::best() const {
  if (phase_ == Phase::trying) return from_;
  if (phase_ != Phase::turns) return current_;
  double lowest = kNever;
  const auto usable = [&](Index i) { return promised_[at(i)] > 0 && !(out_ >> i & 1); };
  for (Index i = 0; i < count_; ++i) {
    if (usable(i)) lowest = std::min(lowest, promised_[at(i)]);
  }
  Index best = -1;
  for (Index i = 0; i < count_; ++i) {
    if (!usable(i) || promised_[at(i)] > kEqual * lowest) continue;
    if (best < 0 || (is_team(best) && !is_team(i))) best = i;
  }
  return best >= 0 ? best : std::max<Index>(0, likeliest_alone());
}

// What a trial of candidate i costs if it takes as long as it did the last time.
double Choice::expected_cost(Index i, double reference) const {
  const double more = 2 * std::max(0.0, promised_[at(i)] - reference);
  const double all = more * static_cast<double>(steps_in(kTrialBlock, promised_[at(i)]));
  return is_team(i) ? std::max(all, team_risk_) : all;
}

// ---------------------------------------------------------------------------------------------- all that is not steady

void Choice::look(double seconds, double each, Index steps, bool late) {
  switch (phase_) {
    case Phase::turns:
      return turn(seconds, each, steps, late);
    case Phase::running:
      return ran(seconds, each, steps, late);
    case Phase::trying:
      return trial(seconds, each, steps, late);
    case Phase::random:
      return draw();
    case Phase::fixed:
      double& promised = promised_[at(current_)];
      promised = promised > 0 ? std::min(promised, each) : each;
      limit_ = kNever;
      event_ = now_ + kBlocksBetween * each;
  }
}

// Whether a block of a team shows that it does not pay at this moment. Its first block may wake threads.
bool Choice::spoilt(double seconds, double each, Index steps, bool late, bool warm) const {
  const double alone = best_alone();
  if (late) return alone == 0 || each > alone;
  if (alone == 0) return false;
  if (warm) return seconds > 4 * alone * static_cast<double>(steps) + kWaking;
  return each > kHopeless * alone && seconds - alone * static_cast<double>(steps) > kHiccup;
}

// ---------------------------------------------------------------------------------------------- turns

void Choice::turn(double seconds, double each, Index steps, bool late) {
  const Index i = current_;
  const bool warm = warm_ || counted_[at(i)] < 0;
  warm_ = false;
  const double alone = best_alone();
  if (is_team(i) && late && alone == 0) {  // whether it pays all the same is seen when one thread has been measured
    later_ |= 1u << i;
    if (likeliest_alone() >= 0) return next_turn();
  }
  if (is_team(i) && (late || warm) && spoilt(seconds, each, steps, late, warm)) {
    out_ |= teams_;  // whatever else they differ in, they need the same threads
    team_failed(seconds - alone * static_cast<double>(steps));
    return next_turn();
  }
  if (warm) {
    if (counted_[at(i)] < 0) first_[at(i)] = each;
    counted_[at(i)] = std::max(0, counted_[at(i)]);
    steps_ = steps_in(kTrialBlock, each);
    return;  // its caches are warm now, so it goes on
  }
  double& promised = promised_[at(i)];
  promised = counted_[at(i)] == 0 ? each : std::min(promised, each);
  const int counted = ++counted_[at(i)];
  // Two in a row, because a change of candidates costs too.
  if (counted % 2 == 0 || (counted == 1 && promised > kHopeless * lowest_promise())) next_turn();
}

// The lowest time that was promised by anyone.
double Choice::lowest_promise() const {
  double lowest = kNever;
  for (Index i = 0; i < count_; ++i) {
    if (promised_[at(i)] > 0) lowest = std::min(lowest, promised_[at(i)]);
  }
  return lowest;
}

// First each candidate takes a turn, then those that are near the best take another.
void Choice::next_turn() {
  const auto first = [&](bool later) {
    for (Index i = 0; i < count_; ++i) {
      if (!(out_ >> i & 1) && counted_[at(i)] <= 0 && (later_ >> i & 1) == later) return i;
    }
    return Index{-1};
  };
  const auto second = [&] {
    const double most = kBehind * lowest_promise();
    Index found = -1, near = 0;
    for (Index i = count_ - 1; i >= 0; --i) {
      if (out_ >> i & 1 || promised_[at(i)] > most) continue;
      ++near;
      if (counted_[at(i)] == 2) found = i;
    }
    return near > 1 ? found : -1;
  };
  Index next = first(false);
  if (next < 0) next = first(true);
  if (next < 0) next = second();
  if (next < 0) return settle();
  current_ = next;
  steps_ = steps_in(kTrialBlock, promised_[at(next)]);
}

// The turns are over: runs the best, and plans when the others are looked at again.
void Choice::settle() {
  for (Index i = 0; i < count_; ++i) {
    if (promised_[at(i)] == 0) promised_[at(i)] = first_[at(i)];
  }
  const double alone = best_alone();
  for (Index i = 0; i < count_; ++i) {  // a team that is so much slower than one thread is one that waits for others
    if (!is_team(i) || alone == 0 || promised_[at(i)] <= kHopeless * alone || out_ >> i & 1) continue;
    out_ |= 1u << i;
    if (team_next_ <= now_) team_failed(promised_[at(i)] - alone);
  }
  const Index chosen = best();
  const double lowest = promised_[at(chosen)];
  for (Index i = 0; i < count_; ++i) {
    const double more = promised_[at(i)] - lowest;
    pause_[at(i)] = std::max(more > (kHopeless - 1) * lowest ? kHopelessPause : kLoserPause, 500 * more);
    next_[at(i)] = out_ >> i & 1 ? now_ : now_ + pause_[at(i)];  // what is out waits for team_next_
  }
  credit_ = 0;  // turns are not paid from it
  run(chosen);
}

// ---------------------------------------------------------------------------------------------- the candidate in use

void Choice::run(Index i) {
  phase_ = Phase::running;
  current_ = i;
  warm_ = true;
  slow_ = 0;
  balance_ = 0;
  const double promised = promised_[at(i)];
  last_.fill(promised);
  steps_ = steps_in(kBlock, promised);
  alone_ = is_team(i) ? best_alone() : 0;
  limit_ = promised > 0 ? kSlower * promised : kNever;
  if (alone_ > 0) limit_ = std::min(limit_, kHopeless * alone_);
  event_ = now_;  // the first block is looked at
}

void Choice::ran(double seconds, double each, Index steps, bool late) {
  const bool warm = warm_;
  warm_ = false;
  if (is_team(current_) && spoilt(seconds, each, steps, late, warm) && likeliest_alone() >= 0) {
    return leave_team(seconds, steps);
  }
  const double promised = promised_[at(current_)];
  if (promised > 0 && each > kSlower * promised && !warm) {
    slow_ |= 1;
    steps_ = std::min(steps_, steps_in(kBlock, each));  // sooner than such a block would end
    int slow = 0;
    for (unsigned bits = slow_; bits; bits &= bits - 1) ++slow;
    if (slow >= kMostOfLast) slower();
  }
  if (now_ < event_) return;
  if (promised == 0) {  // it is the only one, or was never measured
    promised_[at(current_)] = each;
    last_.fill(each);
  }
  if (!warm) adjust();
  if (!start_trial()) plan_ahead();
}

// Lets the promise follow what steps take, as long as they take about that. Where they have become much faster, somebody
// else has left the machine, and a team may pay again.
void Choice::adjust() {
  double& promised = promised_[at(current_)];
  const double usual = kth_of_last(2);
  if (!is_team(current_) && usual * kSlower < promised) {
    team_risk_ = 0;
    team_next_ = std::min(team_next_, now_);
  }
  promised = usual < promised ? usual : promised + std::min(usual - promised, promised / 4) / 8;
}

// Sets what calls look() next.
void Choice::plan_ahead() {
  const double promised = promised_[at(current_)], reference = kth_of_last(2);
  if (!(slow_ & 1)) steps_ = steps_in(kBlock, promised);
  alone_ = is_team(current_) ? best_alone() : 0;
  limit_ = alone_ > 0 ? std::min(kSlower * promised, kHopeless * alone_) : kSlower * promised;
  credit_ = std::min(credit_, std::max(kMostCredit, kMostCreditSteps * promised));
  event_ = now_ + kBlocksBetween * promised * static_cast<double>(steps_);
  for (Index i = 0; i < count_; ++i) {
    if (i == current_) continue;
    const double due = is_team(i) ? std::max(next_[at(i)], team_next_) : next_[at(i)];
    const double paid = now_ + (expected_cost(i, reference) - credit_) / kTryingShare;
    event_ = std::min(event_, std::max({due, paid, now_}));
  }
}

// Steps have become slower. Those that promise to be faster now are tried at once; where none does, those that
// are not hopeless. What this costs must be paid for, so that it cannot happen all the time.
void Choice::slower() {
  const double now_takes = kth_of_last(kLast / 2);
  promised_[at(current_)] = now_takes;
  last_.fill(now_takes);
  slow_ = 0;
  double least = kNever;
  for (Index i = 0; i < count_; ++i) {
    if (i != current_) least = std::min(least, promised_[at(i)]);
  }
  const double most = kEqual * least < now_takes ? now_takes / kEqual : kHopeless * now_takes;
  for (Index i = 0; i < count_; ++i) {
    if (i == current_ || promised_[at(i)] > most) continue;
    next_[at(i)] = std::min(next_[at(i)], now_);
    if (is_team(i)) team_next_ = std::min(team_next_, now_);
  }
  event_ = now_;
}

void Choice::leave_team(double seconds, Index steps) {
  ++left_;
  const double other = alone_ > 0 ? alone_ : promised_[at(current_)];
  const double held_up = std::max(0.0, seconds - other * static_cast<double>(steps));
  const double lost = alone_ > 0 ? -balance_ : held_up;
  credit_ -= lost > 0 ? lost : lost / 2;  // half of what it has won may be spent on coming back
  if (lost > 0 && credit_ < 0) {
    team_failed(lost);
  } else {  // it has paid; who held it up may be gone soon
    team_pause_ = 0;
    team_risk_ = 0;
    team_next_ = now_ + std::max(2 * held_up, kStepsAway * other);
  }
  next_[at(current_)] = now_;
  run(likeliest_alone());
}

void Choice::team_failed(double cost) {
  team_risk_ = cost;
  team_pause_ = std::max(std::min(2 * team_pause_, kLongestPause), (credit_ >= 0 ? kPaidPause : kUnpaidPause) * cost);
  team_next_ = now_ + team_pause_;
}

// ---------------------------------------------------------------------------------------------- trials of others

// Begins to try the most promising candidate whose time has come; false: there is none.
bool Choice::start_trial() {
  const double reference = kth_of_last(2);
  Index chosen = -1;
  for (Index i = 0; i < count_; ++i) {
    if (i == current_ || next_[at(i)] > now_ || (is_team(i) && team_next_ > now_)) continue;
    if (expected_cost(i, reference) > credit_) continue;
    if (chosen < 0 || promised_[at(i)] < promised_[at(chosen)]) chosen = i;
  }
  if (chosen < 0) return false;
  phase_ = Phase::trying;
  from_ = current_;
  current_ = chosen;
  reference_ = reference;
  kept_balance_ = balance_;
  blocks_ = 0;
  lowest_ = kNever;
  cost_ = 0;
  steps_ = steps_in(kTrialBlock, promised_[at(chosen)] > 0 ? promised_[at(chosen)] : reference);
  event_ = -kNever;
  return true;
}

void Choice::trial(double seconds, double each, Index steps, bool late) {
  const double more = std::max(0.0, seconds - reference_ * static_cast<double>(steps));
  cost_ += more;
  credit_ -= more;
  const bool warm = blocks_++ == 0;
  if (is_team(current_) && spoilt(seconds, each, steps, late, warm)) {
    lowest_ = std::min(lowest_, each);
    return trial_failed(true);
  }
  if (warm) {
    if (!is_team(current_) && each > 2 * reference_) {
      lowest_ = each;
      trial_failed(false);
    }
    return;
  }
  lowest_ = std::min(lowest_, each);
  if (blocks_ == 2 && lowest_ > kLost * reference_) return trial_failed(false);
  if (blocks_ >= 3 && lowest_ * 1.1 < reference_) return trial_won();
  if (blocks_ <= kTimes) return;
  if (lowest_ * kEqual < reference_) return trial_won();
  trial_failed(false);
}

void Choice::trial_failed(bool team_is_late) {
  const Index i = current_;
  if (team_is_late) {
    team_failed(cost_);
  } else {
    promised_[at(i)] = lowest_;
    pause_[at(i)] = std::max({kFirstPause, std::min(2 * pause_[at(i)], kLongestPause), 50 * cost_});
    next_[at(i)] = now_ + pause_[at(i)];
  }
  const double balance = kept_balance_;
  const double promised = promised_[at(from_)];
  run(from_);
  balance_ = balance;
  last_.fill(std::max(promised, reference_));
}

void Choice::trial_won() {
  const Index i = current_;
  promised_[at(i)] = lowest_;
  pause_[at(from_)] = kFirstPause;
  next_[at(from_)] = now_ + kFirstPause;
  run(i);
}

// ---------------------------------------------------------------------------------------------- in words

std::string Choice::reason(const std::vector<std::string>& names) const {
  if (phase_ == Phase::random) return "another one at every step";
  const Index chosen = best();
  std::string text = phase_ == Phase::fixed   ? "fixed"
                     : count_ == 1            ? "the only one"
                     : phase_ == Phase::turns ? "not yet measured"
                     : was_known_             ? "measured before"
                                              : "measured";
  if (promised_[at(chosen)] > 0) text += ": " + in_words(promised_[at(chosen)]);
  for (Index i = 0; i < count_; ++i) {
    if (i == chosen || promised_[at(i)] == 0 || at(i) >= names.size()) continue;
    text += "; " + names[at(i)] + ": " + in_words(promised_[at(i)]);
  }
  if (left_ > 0) text += "; a team was left " + std::to_string(left_) + (left_ == 1 ? " time" : " times");
  return text;
}

}  // namespace retrograd
