// The table of plans that have been measured: it knows what it was told, of that kind of call alone, until it is told to
// forget.
#include "network/plan_table.h"

#include <thread>

#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

PlanKey key_of(std::vector<Index> sizes) {
  PlanKey key;
  key.shape.sizes = std::move(sizes);
  key.batch = 64;
  key.limits.threads = 2;
  return key;
}

// A choice between two plans, of which the second is the faster, after so many steps.
Choice measured(int steps) {
  Choice choice(std::vector<bool>{true, false});
  for (int i = 0; i < steps; ++i) choice.took(choice.current() == 0 ? 30e-6 : 20e-6, 1, false);
  return choice;
}

}  // namespace

TEST_CASE("what was measured is known for the same kind of call, and for no other") {
  plans_forget();
  const PlanKey key = key_of({100, 200, 3});
  CHECK_FALSE(plans_find(key));
  plans_remember(key, Choice::fixed(2, 1));  // it measures nothing
  plans_remember(key, Choice::random(2, 1));
  CHECK_FALSE(plans_find(key));
  plans_remember(key, measured(100));
  REQUIRE(plans_find(key));
  CHECK(plans_find(key)->best() == 1);
  CHECK(plans_find(key)->promised(1) == doctest::Approx(20e-6));

  std::vector<PlanKey> others(4, key);
  others[0].shape.sizes[1] = 201;
  others[1].batch = 65;
  others[2].source = Source::uint8;
  others[3].limits.threads = 1;
  for (const PlanKey& other : others) CHECK_FALSE(plans_find(other));

  std::vector<Plan> plans(2);
  plans[0].team = 2;
  CHECK(choice_of(key, plans).settled());
  CHECK(choice_of(key, plans).current() == 1);
  CHECK_FALSE(choice_of(others[0], plans).settled());

  plans_forget();
  CHECK_FALSE(plans_find(key));
  CHECK_FALSE(choice_of(key, plans).settled());
  plans_remember(key, measured(100));  // what comes after is kept
  CHECK(plans_find(key));
  plans_forget();
}

TEST_CASE("short calls go on with their turns where the last one has stopped") {
  plans_forget();
  const PlanKey key = key_of({7, 6});
  const std::vector<Plan> plans(3);
  int calls = 0;
  for (; calls < 20; ++calls) {
    Choice choice = choice_of(key, plans);
    if (choice.settled()) break;
    for (int i = 0; i < 3; ++i) choice.took((30 - 5 * static_cast<double>(choice.current())) * 1e-6, 1, false);
    plans_remember(key, choice);
  }
  CHECK(calls <= 5);
  CHECK(choice_of(key, plans).current() == 2);
  plans_forget();
}

TEST_CASE("a choice knows which plans are teams") {
  plans_forget();
  std::vector<Plan> plans(2);
  plans[0].team = 2;
  Choice choice = choice_of(key_of({5, 4}), plans);
  while (!choice.settled()) choice.took(choice.current() == 0 ? 100e-6 : 200e-6, 1, false);
  CHECK(choice.current() == 0);
  for (int i = 0; i < 10; ++i) choice.took(100e-6, 1, false);
  choice.took(8e-3, 1, true);
  CHECK(choice.current() == 1);
}

TEST_CASE("the table does not grow without end, and many threads may ask it") {
  plans_forget();
  const Choice choice = measured(100);
  std::vector<std::thread> threads;
  for (Index t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (Index i = 0; i < 1500; ++i) {
        const PlanKey key = key_of({t + 1, i + 1});
        plans_remember(key, choice);
        const std::optional<Choice> known = plans_find(key);
        if (known && known->best() != 1) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Index known = 0;
  for (Index t = 0; t < 3; ++t) {
    for (Index i = 0; i < 1500; ++i) known += plans_find(key_of({t + 1, i + 1})) ? 1 : 0;
  }
  CHECK(known <= 1000);
  plans_forget();
}
