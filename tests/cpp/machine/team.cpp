// Teams: each piece once, by whoever is there; nobody waits for an absent helper; forked children.
// That the number of threads does not change a result is tested in network/ and training/.
#include "machine/team.h"

#include <omp.h>

#include <thread>
#include <vector>

#include "support/helpers.h"
#include "support/process.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Adds up 1..count by pieces.
Index sum_of(Team& team, Index count) {
  std::atomic<Index> sum{0};
  team.each(count, [&](const Share& share, int) { sum += share.id + 1; });
  return sum;
}

}  // namespace

TEST_CASE("each: every piece once; worker 0 is the caller") {
  for (int size = 1; size <= 8; ++size) {
    for (const Index count : {0, 1, 2, 3, 7, 8, 9, 100, 1000}) {
      CAPTURE(size);
      CAPTURE(count);
      Team team(size);
      CHECK(team.size() >= 1);
      CHECK(team.size() <= size);
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
      std::atomic<int> wrong{0};
      const std::thread::id caller = std::this_thread::get_id();
      team.each(count, [&](const Share& share, int worker) {
        ++visits[static_cast<std::size_t>(share.id)];
        if (share.size != count || worker < 0 || worker >= team.size()) ++wrong;
        if ((worker == 0) != (std::this_thread::get_id() == caller)) ++wrong;
      });
      for (const auto& v : visits) CHECK(v == 1);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("each without a count: a share for each member") {
  Team team(3);
  std::atomic<Index> done{0}, calls{0};
  team.each([&](const Share& share, int) {
    done += share.end(1000) - share.begin(1000);
    ++calls;
  });
  CHECK(done == 1000);
  CHECK(calls == team.size());
}

TEST_CASE("more pieces than a phase has room for are still done once") {
  Team team(2);
  const Index count = 300000;
  CHECK(sum_of(team, count) == count * (count + 1) / 2);
}

TEST_CASE("phase after phase, with helpers that come late or not at all") {
  const int rounds = few_sizes() ? 300 : 20000;
  for (const int size : {2, 3, 8}) {
    Team team(size);
    for (int round = 0; round < rounds; ++round) {
      const Index count = 1 + round % 13;
      if (sum_of(team, count) != count * (count + 1) / 2) FAIL("a piece was lost or done twice");
    }
  }
}

TEST_CASE("a helper that holds a piece keeps nobody from the others, and is reported as late") {
  Team team(2);
  if (team.size() < 2) return;
  std::atomic<bool> held{false};
  std::atomic<int> by_caller{0};
  // The helper holds the first piece that it gets; the caller waits at its own first piece until it does.
  team.each(16, [&](const Share&, int worker) {
    if (worker == 1) {
      held = true;
      sleep_ms(60);
    } else {
      while (!held) std::this_thread::yield();
      ++by_caller;
    }
  });
  CHECK(by_caller >= 14);  // all but that piece, and perhaps another at the end
  CHECK(team.was_late());
  CHECK_FALSE(team.was_late());  // it is told once
  CHECK(sum_of(team, 10) == 55);
}

TEST_CASE("use: phases go to so many members, one means the caller alone") {
  Team team;
  const int most = Team(9).size();
  for (const int size : {1, 2, 4, 3, 1, 9, 0}) {
    team.use(size);
    CHECK(team.size() == std::max(1, std::min(size, most)));
    std::atomic<int> highest{0};
    for (int round = 0; round < 200; ++round) {
      team.each(8, [&](const Share&, int worker) {
        for (int seen = highest; worker > seen && !highest.compare_exchange_weak(seen, worker);) {
        }
      });
    }
    CHECK(highest < team.size());
  }
}

// Many helpers on few cores are often put aside between two pieces, and come back in a later phase.
TEST_CASE("a helper that comes late to a phase of fewer members takes nothing of it") {
  Team team(24);
  std::atomic<int> wrong{0};
  for (int round = 0; round < (few_sizes() ? 1000 : 50000); ++round) {
    team.use(round % 2 ? 2 : 24);
    team.each(48, [&](const Share&, int worker) {
      if (worker >= team.size()) ++wrong;
      for (int spin = 0; spin < 300; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    });
  }
  CHECK(wrong == 0);
}

TEST_CASE("helpers sleep when there is nothing to do, and wake up") {
  Team team(2);
  if (team.size() < 2) return;
  sleep_ms(20);
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> came{false};
    // The caller holds the first piece until the helper has come for another.
    team.each(2, [&](const Share&, int worker) {
      if (worker == 1) came = true;
      for (int i = 0; i < 5000 && worker == 0 && !came; ++i) sleep_ms(1);
    });
    CHECK(came);
    sleep_ms(2);
  }
}

TEST_CASE("calls at the same time have teams of their own, one after the other shares one") {
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&wrong, caller] {
      for (int round = 0; round < (few_sizes() ? 20 : 200); ++round) {
        Team team(2 + (caller + round) % 3);
        for (const Index count : {1, 5, 50}) {
          if (sum_of(team, count) != count * (count + 1) / 2) ++wrong;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("a team within a team, in a parallel region, and with dynamic teams: all the work") {
  Team outer(2);
  std::atomic<int> wrong{0};
  outer.each(4, [&](const Share&, int) {
    Team inner(3);
    if (sum_of(inner, 100) != 5050) ++wrong;
  });
  omp_set_dynamic(1);
#pragma omp parallel num_threads(2)
  {
    Team team(3);
    if (sum_of(team, 100) != 5050) ++wrong;
  }
  omp_set_dynamic(0);
  CHECK(wrong == 0);
}

// ---------------------------------------------------------------------------------------------- forked children

// The child's helpers are gone.
TEST_CASE("a forked child of a process that had a team has one thread, and works") {
  const OpenMpThreads four(4);
  const Environment wish("OMP_NUM_THREADS", "4");
  const auto works_alone = [] {
    Team team(team_size(1e12, 1000, {}));
    return max_threads() == 1 && team.size() == 1 && Team(4).size() == 1 && sum_of(team, 100) == 5050 ? 42 : 1;
  };
  {
    Team team(4);
    if (team.size() == 1) return;  // with this limit there is no team to lose
    CHECK(sum_of(team, 100) == 5050);
  }
  CHECK(max_threads() == 4);
  CHECK(in_child(works_alone) == 42);
  CHECK(in_child([&] { return in_child(works_alone); }) == 42);  // and so has its child
  CHECK(Team(4).size() > 1);
}

TEST_CASE("a child that is forked between two phases goes on alone") {
  Team team(3);
  CHECK(sum_of(team, 100) == 5050);
  CHECK(in_child([&] { return sum_of(team, 100) == 5050 ? 42 : 1; }) == 42);
  CHECK(sum_of(team, 100) == 5050);
}
