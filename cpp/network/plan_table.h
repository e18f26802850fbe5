// What the process knows of plans that have been measured: for each kind of call the best of its candidates, and what they
// took. A new choice for a known kind begins with that. How it is measured is in choice.h.
#pragma once

#include <optional>

#include "machine/choice.h"
#include "network/plan.h"

namespace retrograd {

// What the candidates follow from.
struct PlanKey {
  Shape shape;
  Index batch = 1;
  Source source = Source::float32;
  Limits limits;
};

bool operator<(const PlanKey& a, const PlanKey& b);

// What is known, or nothing. While another thread is at the table, nothing is known, so that nobody waits for it: not even
// the child of a process that forked at such a moment.
std::optional<Choice> plans_find(const PlanKey& key);

// Keeps a choice as it is after a call, be it settled or not: the next one goes on where it has stopped. It is dropped where
// another thread is at the table, or where there is no memory for it.
void plans_remember(const PlanKey& key, const Choice& choice);

// Forgets all, for measurements and tests.
void plans_forget();

// A choice among plans, which goes on with what is known of them.
Choice choice_of(const PlanKey& key, const std::vector<Plan>& plans);

}  // namespace retrograd
