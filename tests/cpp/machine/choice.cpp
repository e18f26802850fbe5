// The choice among candidates on machines that are simulated: the clock is a sum of times that a formula gives. What is
// chosen, how soon, and what it costs.
#include "machine/choice.h"

#include <chrono>
#include <functional>

#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

constexpr double us = 1e-6, ms = 1e-3;

// What a step takes, and whether a team was interrupted in it.
struct Took {
  double seconds = 0;
  bool late = false;
};

// A machine: what a step of candidate i takes at a time (in seconds since the beginning). Its noise is never negative, and has
// a long tail.
class Machine {
 public:
  using Step = std::function<Took(Index i, double now)>;

  Machine(std::vector<bool> teams, Step step, double noise = 0.02, std::uint64_t seed = 1)
      : teams_(std::move(teams)), choice(teams_), used(teams_.size()), step_(std::move(step)), noise_(noise), dice_(seed) {}

  // Takes steps until the clock shows `end`, or takes so many.
  void run_until(double end) {
    while (now < end) block(1 << 30);
  }
  void run_steps(Index count) {
    while (count > 0) count -= block(count);
  }
  void begin_anew(const Choice& other) { choice = other; }

 private:
  std::vector<bool> teams_;

 public:
  Choice choice;
  double now = 0;
  Index steps = 0;
  std::vector<double> used;  // the seconds that each candidate has run
  double trying = 0;         // the seconds of trials beyond what the best took, where somebody asks for it

 private:
  Index block(Index most) {
    const Index i = choice.current(), count = std::min(most, choice.steps_at_once());
    double seconds = 0;
    bool late = false;
    for (Index s = 0; s < count; ++s) {
      const Took took = step_(i, now + seconds);
      seconds += took.seconds * noisy();
      late |= took.late;
      if (i != before_) seconds += 0.3 * took.seconds;  // its caches are cold
      before_ = i;
    }
    choice.took(seconds, count, late);
    now += seconds;
    steps += count;
    used[static_cast<std::size_t>(i)] += seconds;
    return count;
  }

  double noisy() {
    const double u = 0.5 + 0.5 * dice_.number<double>();
    return 1 + noise_ * u + (u > 0.99 ? 20 * noise_ : 0);
  }

  Step step_;
  double noise_;
  Dice dice_;
  Index before_ = -1;
};

std::vector<bool> no_teams(std::size_t count) { return std::vector<bool>(count, false); }

// A machine on which nothing changes.
Machine::Step steady(std::vector<double> seconds) {
  return [seconds = std::move(seconds)](Index i, double) { return Took{seconds[static_cast<std::size_t>(i)]}; };
}

// Candidate 0 is a team of two, candidate 1 one thread. While others are busy, a team waits for time slices.
Machine team_and_one(const std::function<bool(double)>& busy, bool tells_late, std::uint64_t seed = 1) {
  return Machine(
      {true, false},
      [=](Index i, double now) {
        if (i == 0) return busy(now) ? Took{8 * ms, tells_late} : Took{0.3 * ms};
        return Took{busy(now) ? 1.0 * ms : 0.5 * ms};
      },
      0.02, seed);
}

}  // namespace

TEST_CASE("a single candidate is never measured, and its time becomes known") {
  Machine machine(no_teams(1), steady({20 * us}), 0);
  CHECK(machine.choice.settled());
  machine.run_until(10 * ms);
  CHECK(machine.choice.current() == 0);
  CHECK(machine.choice.promised(0) == doctest::Approx(20 * us));
  CHECK(machine.choice.reason({"panels"}) == "the only one: 20 us");
  CHECK(Choice().current() == 0);
}

TEST_CASE("first the candidates take turns, the likeliest first; the first time of each does not count") {
  // times of 0, 1 and 2: the very first is slow
  Choice choice(no_teams(3));
  const auto take = [&](Index candidate, double seconds) {
    CHECK_FALSE(choice.settled());
    CHECK(choice.current() == candidate);
    CHECK(choice.steps_at_once() == 1);
    choice.took(seconds, 1, false);
  };
  take(0, 90 * us);  // warm-up
  take(0, 11 * us);
  take(0, 10.4 * us);
  take(1, 8 * us);  // warm-up, and faster than what follows
  take(1, 10 * us);
  take(1, 12 * us);
  take(2, 12 * us);
  take(2, 12 * us);
  take(2, 10.6 * us);
  take(0, 13 * us);
  take(0, 14 * us);
  take(1, 12 * us);
  take(1, 9.5 * us);
  CHECK(choice.settled());  // by now 2 is more than 7 percent behind
  CHECK(choice.current() == 1);
  CHECK(choice.best() == 1);
  CHECK(choice.promised(0) == 10.4 * us);  // the lowest of four
  CHECK(choice.promised(1) == 9.5 * us);
  CHECK(choice.promised(2) == 10.6 * us);
  CHECK(choice.reason({"a", "b", "c"}) == "measured: 9.5 us; a: 10.4 us; c: 10.6 us");
}

TEST_CASE("a turn that is interrupted by the end of a call begins with another warm-up") {
  Choice choice(no_teams(2));
  for (const double seconds : {15 * us, 10 * us, 10 * us, 12 * us}) choice.took(seconds, 1, false);
  CHECK(choice.current() == 1);
  choice = choice.for_next_call();
  choice.took(40 * us, 1, false);  // would else show that it is far behind
  CHECK(choice.current() == 1);
  for (const double seconds : {9 * us, 9 * us}) choice.took(seconds, 1, false);
  CHECK(choice.best() == 1);
}

TEST_CASE("candidates that are far behind take no more turns") {
  const auto turns = [](double second, double third) {
    Choice choice(no_teams(3));
    std::vector<Index> all;
    while (!choice.settled()) {
      all.push_back(choice.current());
      const double times[] = {10 * us, second * us, third * us};
      choice.took(times[choice.current()], 1, false);
    }
    CHECK(choice.best() == 0);
    return all;
  };
  // With nobody left to compare it with, the best takes no second turn either.
  CHECK(turns(16, 30) == std::vector<Index>{0, 0, 0, 1, 1, 2, 2});
  CHECK(turns(14, 30) == std::vector<Index>{0, 0, 0, 1, 1, 1, 2, 2});
  CHECK(turns(10.6, 30) == std::vector<Index>{0, 0, 0, 1, 1, 1, 2, 2, 0, 0, 1, 1});
}

TEST_CASE("what differs by less than noise: the likelier goes on, and one thread before a team") {
  const auto chosen = [](std::vector<bool> teams, std::vector<double> times) {
    Choice choice(teams);
    while (!choice.settled()) choice.took(times[static_cast<std::size_t>(choice.current())], 1, false);
    return choice.best();
  };
  CHECK(chosen(no_teams(2), {10.1 * us, 10 * us}) == 0);
  CHECK(chosen(no_teams(2), {10.3 * us, 10 * us}) == 1);
  CHECK(chosen({true, false}, {100 * us, 101 * us}) == 1);
  CHECK(chosen({true, false}, {100 * us, 103 * us}) == 0);
}

TEST_CASE("the shortest steps go in blocks, so that looking at the clock costs nothing") {
  for (const double step : {0.14, 1.0, 4.0, 7.0, 10.0, 20.0, 1000.0}) {
    Machine machine(no_teams(2), steady({step * us, 1.1 * step * us}), 0);
    machine.run_steps(2000);
    CHECK(machine.choice.settled());
    const double block = static_cast<double>(machine.choice.steps_at_once()) * step;
    CAPTURE(step);
    CHECK(machine.choice.current() == 0);
    CHECK(block >= 9.99);
    CHECK((block <= 20 || machine.choice.steps_at_once() == 1));
  }
}

TEST_CASE("measuring costs little: 100 steps by the same with the best from the beginning") {
  Dice dice(5);
  double sum = 0;
  int count = 0;
  for (const double scale : {5 * us, 50 * us, 1 * ms}) {
    for (int round = 0; round < 300; ++round) {
      const std::size_t n = 2 + static_cast<std::size_t>(dice.below(3));
      std::vector<double> times(n);
      const bool likeliest_is_best = round % 2 == 0;
      for (double& t : times) t = scale * (1.15 + 0.15 * dice.number<double>());
      times[likeliest_is_best ? 0 : static_cast<std::size_t>(dice.below(static_cast<Index>(n)))] = scale;
      Machine machine(no_teams(n), steady(times), 0.01, static_cast<std::uint64_t>(round));
      machine.run_steps(100);
      Machine best(no_teams(1), steady({scale}), 0.01, static_cast<std::uint64_t>(round));
      best.run_steps(100);
      const double cost = machine.now / best.now;
      CHECK(cost <= 1.06);
      sum += cost;
      ++count;
      CHECK(times[static_cast<std::size_t>(machine.choice.best())] <= 1.04 * scale);
    }
  }
  MESSAGE("cost of measuring: " << sum / count);
  CHECK(sum / count <= 1.035);
}

TEST_CASE("a candidate that becomes slow is left within 50 steps, and chosen again when it has recovered") {
  for (const double scale : {2 * us, 30 * us, 1 * ms}) {
    for (const std::size_t n : {2u, 3u, 6u}) {
      std::vector<double> times(n);
      for (std::size_t i = 0; i < n; ++i) times[i] = scale * (1 + 0.08 * static_cast<double>(i));
      Index slowed = -1;
      Machine machine(no_teams(n), [&](Index i, double) {
        return Took{times[static_cast<std::size_t>(i)] + (i == slowed ? 3 * scale : 0)};
      });
      machine.run_steps(2000);
      CAPTURE(scale);
      CAPTURE(n);
      CHECK(machine.choice.best() == 0);
      for (int round = 0; round < 3; ++round) {
        slowed = 0;
        machine.run_steps(50);
        CHECK(machine.choice.best() != 0);
        // and the one that is slowed after it, while the first is as fast again
        slowed = machine.choice.best();
        machine.run_steps(50);
        CHECK(machine.choice.best() != slowed);
        slowed = -1;
        machine.run_until(machine.now + 0.5);
        CHECK(machine.choice.best() == 0);
        slowed = 0;
        machine.run_until(machine.now + 1);  // so long that the pauses have grown
        CHECK(machine.choice.best() != 0);
        slowed = -1;
        machine.run_until(machine.now + 5);
        CHECK(machine.choice.best() == 0);
      }
    }
  }
}

TEST_CASE("steps of a microsecond that become slow are noticed within 50 too, though they go in blocks") {
  bool slowed = false;
  Machine machine(no_teams(2),
                  [&](Index i, double) { return Took{i == 0 && slowed ? 50 * us : (1 + 0.2 * static_cast<double>(i)) * us}; });
  machine.run_steps(5000);
  CHECK(machine.choice.best() == 0);
  CHECK(machine.choice.steps_at_once() >= 10);
  slowed = true;
  machine.run_steps(50);
  CHECK(machine.choice.best() == 1);
}

TEST_CASE("a trial of what is far behind ends after its warm-up and one time") {
  const auto longest_trial = [](double second) {
    Choice choice(no_teams(2));
    int longest = 0, length = 0;
    for (int i = 0; i < 20000; ++i) {
      const Index current = choice.current();
      length = current == 1 && choice.settled() ? length + 1 : 0;
      longest = std::max(longest, length);
      choice.took(current == 0 ? 100 * us : second * us, 1, false);
    }
    CHECK(choice.best() == 0);
    return longest;
  };
  CHECK(longest_trial(105) == 4);
  CHECK(longest_trial(130) == 2);
  CHECK(longest_trial(250) == 1);
}

TEST_CASE("where all becomes slower, the new times are taken for what is promised, and finding that out costs little") {
  const std::vector<double> times = {100 * us, 110 * us, 130 * us, 140 * us};
  for (const double period : {0.05, 0.2, 1.0}) {
    const auto factor = [&](double now) { return static_cast<int>(now / period) % 2 == 0 ? 1.0 : 1.6; };
    Machine machine(no_teams(4), [&](Index i, double now) { return Took{factor(now) * times[static_cast<std::size_t>(i)]}; });
    Machine best(no_teams(1), [&](Index, double now) { return Took{factor(now) * times[0]}; });
    machine.run_until(4);
    best.run_until(4);
    CAPTURE(period);
    const double share = static_cast<double>(machine.steps) / static_cast<double>(best.steps);
    MESSAGE("all slower each " << period << " s: work done " << share);
    CHECK(share >= 0.97);
  }
}

TEST_CASE("a machine without change: looking at the others again and again costs less than 2 percent") {
  for (const double second : {1.05, 1.3, 2.0, 10.0}) {
    Machine machine(no_teams(3), steady({200 * us, second * 200 * us, second * 200 * us}));
    Machine best(no_teams(1), steady({200 * us}));
    machine.run_until(3);
    best.run_until(3);
    const double share = static_cast<double>(machine.steps) / static_cast<double>(best.steps);
    MESSAGE("others at " << second << ": work done " << share);
    CHECK(share >= 0.985);
    CHECK(machine.choice.best() == 0);
  }
}

TEST_CASE("a wrong choice is found out later") {
  // in the first 5 ms the faster one is disturbed
  Machine machine(no_teams(2), [](Index i, double now) { return Took{i == 0 ? 100 * us : now < 5 * ms ? 140 * us : 80 * us}; });
  machine.run_until(5 * ms);
  CHECK(machine.choice.best() == 0);
  machine.run_until(0.3);
  CHECK(machine.choice.best() == 1);
}

TEST_CASE("teams on a busy and on a quiet machine") {
  const auto quiet = [](double) { return false; };
  const auto busy = [](double) { return true; };
  // the first two at once, then by the second
  const auto in_turn = [](double now) { return static_cast<int>(now) % 2 == 0; };
  const auto other_turn = [](double now) { return static_cast<int>(now) % 2 == 1; };
  const auto run = [](const std::function<bool(double)>& machine_is, bool late, double seconds, std::uint64_t seed) {
    Machine machine = team_and_one(machine_is, late, seed);
    machine.run_until(seconds);
    return machine;
  };
  const auto alone = [](const std::function<bool(double)>& machine_is, double seconds, double in_quiet) {
    Machine machine(no_teams(1), [=](Index, double now) { return Took{machine_is(now) ? 1.0 * ms : in_quiet}; });
    machine.run_until(seconds);
    return static_cast<double>(machine.steps);
  };
  for (const bool late : {true, false}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const Machine on_busy = run(busy, late, 2, seed);
      const double busy_share = static_cast<double>(on_busy.steps) / alone(busy, 2, 0.5 * ms);
      CHECK(busy_share >= 0.95);
      CHECK(on_busy.choice.best() == 1);
      const Machine on_quiet = run(quiet, late, 2, seed);
      const double quiet_share = static_cast<double>(on_quiet.steps) / alone(quiet, 2, 0.3 * ms);
      CHECK(quiet_share >= 0.98);
      CHECK(on_quiet.choice.best() == 0);
      for (const std::function<bool(double)>& turns :
           {std::function<bool(double)>(in_turn), std::function<bool(double)>(other_turn)}) {
        const Machine on_both = run(turns, late, 8, seed);
        const double against_one = static_cast<double>(on_both.steps) / alone(turns, 8, 0.5 * ms);
        const double against_best = static_cast<double>(on_both.steps) / alone(turns, 8, 0.3 * ms);
        CHECK(against_one >= 1.3);
        CHECK(against_best >= 0.93);
        if (seed == 1) {
          MESSAGE("late told " << late << ": busy " << busy_share << ", quiet " << quiet_share << ", in turn " << against_one
                               << " of one thread, " << against_best << " of the better of both");
        }
      }
    }
  }
}

// Two cores. Somebody else takes the second one for spans of time and leaves it for others, both at random. A team that is
// caught waits for the end of such a span, or of a time slice.
class SharedCore {
 public:
  SharedCore(double busy, double quiet, std::uint64_t seed) : busy_(busy), quiet_(quiet), dice_(seed) {}
  Took team(double seconds, double now) {
    go_to(now + seconds);
    if (!is_busy_) return {seconds};
    return {seconds + std::min(end_ - now - seconds, 8 * ms), true};
  }

 private:
  void go_to(double now) {
    for (; end_ <= now; is_busy_ = !is_busy_) {
      end_ -= (is_busy_ ? quiet_ : busy_) * std::log(0.5 - 0.5 * dice_.number<double>());
    }
  }
  double busy_, quiet_, end_ = 0;
  bool is_busy_ = false;
  Dice dice_;
};

TEST_CASE("a team on a core that others take at random: hardly ever worse than one thread, and near the better of both") {
  double least_of_one = 9, least_of_best = 9;
  for (const double alone : {20 * us, 500 * us, 5 * ms}) {
    for (const double team : {0.55, 0.9}) {
      for (const double busy : {0.1 * ms, 1 * ms, 8 * ms, 50 * ms}) {
        for (const double quiet : {1 * ms, 10 * ms, 100 * ms, 1000 * ms}) {
          // Steps in two seconds by the choice, by one thread and by the team.
          const auto steps = [&](std::vector<bool> teams, bool only_team) {
            SharedCore core(busy, quiet, 3);
            Machine machine(std::move(teams), [&](Index i, double now) {
              return i == 0 && only_team ? core.team(team * alone, now) : Took{alone};
            });
            machine.run_until(2);
            return static_cast<double>(machine.steps);
          };
          const double chosen = steps({true, false}, true), one = steps({false}, false), always = steps({true}, true);
          least_of_one = std::min(least_of_one, chosen / one);
          least_of_best = std::min(least_of_best, chosen / std::max(one, always));
        }
      }
    }
  }
  MESSAGE("work done: at least " << least_of_one << " of one thread, " << least_of_best << " of the better of both");
  CHECK(least_of_one >= 0.95);
  CHECK(least_of_best >= 0.75);
}

TEST_CASE("a thread that is interrupted once a second does not keep a team from being used") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    double next = 0.5;
    Machine machine(
        {true, false},
        [&](Index i, double now) {
          if (i == 1) return Took{0.5 * ms};
          if (now < next) return Took{0.3 * ms};
          next += 1;
          return Took{8 * ms, true};
        },
        0.02, seed);
    machine.run_until(10);
    CHECK(machine.used[0] >= 0.9 * machine.now);
    const double share = static_cast<double>(machine.steps) * 0.3 * ms / machine.now;
    CHECK(share >= 0.93);
    if (seed == 1) MESSAGE("a team that is interrupted once a second is used " << machine.used[0] / machine.now);
  }
}

TEST_CASE("a team is left at once, after one step, and comes back after a pause that grows") {
  bool busy = false;
  Machine machine = team_and_one([&](double) { return busy; }, true);
  machine.run_until(0.2);
  CHECK(machine.choice.current() == 0);
  busy = true;
  machine.run_steps(1);
  CHECK(machine.choice.current() == 1);
  busy = false;
  machine.run_until(machine.now + 0.1);
  CHECK(machine.choice.current() == 0);  // it had paid, so the pause was short
  busy = true;
  double before = machine.used[0];
  machine.run_until(machine.now + 4);
  CHECK(machine.used[0] - before <= 0.08 + 5 * 8 * ms);  // 2 percent, and what it had earned
  before = machine.used[0];
  machine.run_until(machine.now + 4);
  CHECK(machine.used[0] - before <= 3 * 8 * ms);
  busy = false;
  machine.run_until(machine.now + 5);
  CHECK(machine.choice.current() == 0);
}

TEST_CASE("a late step of a team that is still faster than one thread is no reason to leave it") {
  Machine machine({true, false}, [](Index i, double) { return i == 0 ? Took{60 * ms, true} : Took{100 * ms}; });
  machine.run_until(10);
  CHECK(machine.choice.current() == 0);
  CHECK(machine.used[0] >= 9);
}

TEST_CASE("where there are only teams, one goes on whatever happens") {
  Machine machine({true, true}, [](Index i, double) { return Took{i == 0 ? 2 * ms : 1 * ms, true}; });
  machine.run_until(1);
  CHECK(machine.choice.current() >= 0);
  CHECK(machine.choice.current() < 2);
  CHECK(machine.steps >= 400);
}

TEST_CASE("all candidates that are teams are left and tried together") {
  bool busy = false;
  Machine machine({true, false, true, false}, [&](Index i, double) {
    const double times[] = {0.30 * ms, 0.50 * ms, 0.35 * ms, 0.45 * ms};
    return busy && i % 2 == 0 ? Took{8 * ms, true} : Took{times[i]};
  });
  machine.run_until(0.5);
  CHECK(machine.choice.current() == 0);
  busy = true;
  machine.run_steps(1);
  CHECK(machine.choice.current() == 3);  // the best one with one thread
  const double before = machine.used[0] + machine.used[2];
  machine.run_until(machine.now + 2);
  CHECK(machine.used[0] + machine.used[2] - before <= 0.04 + 3 * 8 * ms);
  CHECK(machine.choice.best() == 3);
}

TEST_CASE("what is known of a machine is known in the next call") {
  Machine first(no_teams(3), steady({120 * us, 100 * us, 150 * us}));
  first.run_steps(500);
  CHECK(first.choice.best() == 1);
  CHECK(first.choice.reason({"a", "b", "c"}).find("measured: 10") == 0);
  const Choice second = first.choice.for_next_call();
  CHECK(second.settled());
  CHECK(second.current() == 1);
  CHECK(second.promised(1) == first.choice.promised(1));
  CHECK(second.reason({"a", "b", "c"}).find("measured before: 10") == 0);
  Machine again(no_teams(3), steady({120 * us, 100 * us, 150 * us}));
  again.begin_anew(second);
  again.run_steps(400);  // together less than a tenth of a second
  CHECK(again.used[0] == 0);
  CHECK(again.used[2] == 0);
  // but what is known may be wrong by now
  Machine changed(no_teams(3), steady({100 * us, 200 * us, 150 * us}));
  changed.begin_anew(second);
  changed.run_steps(50);
  CHECK(changed.choice.best() == 0);
}

TEST_CASE("a choice that is told to be fixed stays, and one at random does not") {
  Choice fixed = Choice::fixed(4, 2);
  for (int i = 0; i < 1000; ++i) {
    CHECK(fixed.current() == 2);
    fixed.took(i < 500 ? 20 * us : 1, 1, true);
  }
  CHECK(fixed.best() == 2);
  CHECK(fixed.promised(2) == 20 * us);
  CHECK(fixed.reason({"a", "b", "c", "d"}) == "fixed: 20 us");
  Choice random = Choice::random(4, 7), same = Choice::random(4, 7), other = Choice::random(4, 8);
  std::vector<int> seen(4);
  int equal = 0;
  for (int i = 0; i < 1000; ++i) {
    CHECK(random.steps_at_once() == 1);
    CHECK(random.current() == same.current());
    equal += random.current() == other.current();
    ++seen[static_cast<std::size_t>(random.current())];
    for (Choice* choice : {&random, &same, &other}) choice->took(20 * us * (1 + i % 3), 1, false);
  }
  for (const int times : seen) CHECK(times > 150);
  CHECK(equal < 400);
}

TEST_CASE("after something else has run, the first block may be slow") {
  for (const bool told : {false, true}) {
    Machine machine({true, false}, steady({300 * us, 500 * us}), 0);
    machine.run_steps(100);
    Choice choice = machine.choice;
    CHECK(choice.current() == 0);
    if (told) choice.resume();
    choice.took(900 * us, 1, false);  // the threads had to be woken
    CHECK(choice.current() == (told ? 0 : 1));
    if (told) choice.took(900 * us, 1, false);
    CHECK(choice.current() == 1);
  }
}

TEST_CASE("calls of one step each are measured as others are") {
  Machine machine(no_teams(3), steady({120 * us, 100 * us, 150 * us}));
  for (int i = 0; i < 60; ++i) {
    machine.choice.resume();
    machine.run_steps(1);
  }
  CHECK(machine.choice.settled());
  CHECK(machine.choice.best() == 1);
  Machine slowed(no_teams(3), steady({120 * us, 300 * us, 150 * us}));
  slowed.begin_anew(machine.choice);
  for (int i = 0; i < 50; ++i) {
    slowed.choice.resume();
    slowed.run_steps(1);
  }
  CHECK(slowed.choice.best() == 0);
}

TEST_CASE("trying does not cost more than two percent of the time, however often others seem to be worth it") {
  // Whenever all becomes slower, the others promise to be faster than the first, and are not.
  for (const double factor : {1.3, 1.45}) {
    Machine machine(no_teams(6), [&](Index i, double now) {
      const double wave = static_cast<int>(now / 4e-3) % 2 == 0 ? 1 : 1.6;
      return Took{100 * us * wave * (i == 0 ? 1 : factor)};
    });
    Machine best(no_teams(1),
                 [](Index, double now) { return Took{100 * us * (static_cast<int>(now / 4e-3) % 2 == 0 ? 1 : 1.6)}; });
    machine.run_until(4);
    best.run_until(4);
    const double share = static_cast<double>(machine.steps) / static_cast<double>(best.steps);
    MESSAGE("others seem to be worth it every 4 ms, and take " << factor << " times as long: work done " << share);
    CHECK(share >= 0.97);
    CHECK(machine.choice.best() == 0);
  }
}

TEST_CASE("where a team is late in the first turns, the other teams take none") {
  Machine machine({true, false, true, false}, [&](Index i, double) {
    return i % 2 == 0 ? Took{8 * ms, true} : Took{(0.5 + 0.01 * static_cast<double>(i)) * ms};
  });
  machine.run_steps(50);
  CHECK(machine.used[0] + machine.used[2] <= 2 * 8 * 1.5 * ms);
  CHECK(machine.choice.best() == 1);
}

TEST_CASE("a choice is a value without memory of its own") {
  CHECK(std::is_trivially_copyable_v<Choice>);
  CHECK(sizeof(Choice) <= 1024);
}
