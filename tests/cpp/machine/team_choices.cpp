// Threads of calls outside of training: which of one thread and a team a call gets, and what it learns from the times.
#include "machine/team_choices.h"

#include <omp.h>

#include <thread>

#include "support/helpers.h"
#include "support/process.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// A call that takes 3 ms with a team and 1 ms alone, or the other way round; the threads that it got.
int call(TeamChoices& choices, double flops, bool team_is_slow, int kind = 0) {
  TeamChoices::Turn turn(&choices, kind, flops, 1000, {});
  std::this_thread::sleep_for(std::chrono::milliseconds((turn.threads() > 1) == team_is_slow ? 3 : 1));
  turn.end(false);
  return turn.threads();
}

}  // namespace

TEST_CASE("a call takes what was faster, for each amount of work by itself") {
  if (!plans_are_measured()) return;
  const OpenMpThreads two(2);
  const Environment wish("OMP_NUM_THREADS", "2");
  TeamChoices choices;
  // 2.5 and 3.5 million flops lie between the same powers of two; the first guess is one thread, then a team.
  for (const double flops : {2.5e6, 3.5e6, 1e8}) {
    for (const bool team_is_slow : {true, false}) {
      CAPTURE(flops);
      CAPTURE(team_is_slow);
      int with_team = 0;
      for (int i = 0; i < 60; ++i) {
        const int got = call(choices, flops, team_is_slow, team_is_slow ? 0 : 1);
        CHECK(got >= 1);
        CHECK(got <= 2);
        if (i >= 30) with_team += got == 2;
      }
      if (team_is_slow) {
        CHECK(with_team < 10);
      } else {
        CHECK(with_team > 20);
      }
    }
  }
}

TEST_CASE("nothing is measured where nothing can be chosen") {
  const OpenMpThreads two(2);
  const Environment wish("OMP_NUM_THREADS", "2");
  TeamChoices choices;
  CHECK(TeamChoices::Turn(&choices, 0, 1e3, 1000, {}).threads() == 1);
  CHECK(TeamChoices::Turn(&choices, 0, 1e9, 1, {}).threads() == 1);
  CHECK(TeamChoices::Turn(&choices, 0, 1e9, 1000, {1}).threads() == 1);
  CHECK(TeamChoices::Turn(&choices, 0, 1e3, 1, {0, 5}).threads() == 5);  // forced
  CHECK(TeamChoices::Turn(nullptr, 0, 1e9, 1000, {}).threads() == 2);
}

TEST_CASE("more kinds of calls than there is room for, and calls at the same time") {
  const OpenMpThreads two(2);
  const Environment wish("OMP_NUM_THREADS", "2");
  TeamChoices choices;
  for (int kind = 0; kind < 40; ++kind) {
    TeamChoices::Turn turn(&choices, kind, 1e9, 1000, {});
    TeamChoices::Turn same(&choices, kind, 1e9, 1000, {});  // beside the first: it is not measured
    CHECK(same.threads() >= 1);
    turn.end(false);
    same.end(true);
  }
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&choices] {
      for (int round = 0; round < 200; ++round) {
        TeamChoices::Turn turn(&choices, round % 3, 1e9, 1000, {});
        turn.end(round % 50 == 0);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}
