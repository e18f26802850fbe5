// See plan_table.h.
#include "network/plan_table.h"

#include <atomic>
#include <map>
#include <mutex>
#include <new>
#include <tuple>

namespace retrograd {
namespace {

static_assert(Choice::kMost >= kMostCandidates);

// A process that sees so many kinds of calls begins anew.
constexpr std::size_t kMostKinds = 1000;

struct Entry {
  Choice choice;
  unsigned age = 0;
};

// It is never destroyed, because threads may ask it until the process ends.
std::map<PlanKey, Entry>& table() {
  static auto* table = new std::map<PlanKey, Entry>;
  return *table;
}

std::mutex mutex;
std::atomic<unsigned> age{0};  // entries of another age are forgotten

}  // namespace

bool operator<(const PlanKey& a, const PlanKey& b) {
  return std::tie(a.batch, a.source, a.shape, a.limits) < std::tie(b.batch, b.source, b.shape, b.limits);
}

std::optional<Choice> plans_find(const PlanKey& key) {
  const std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
  if (!lock) return std::nullopt;
  const auto found = table().find(key);
  if (found == table().end() || found->second.age != age.load()) return std::nullopt;
  return found->second.choice;
}

void plans_remember(const PlanKey& key, const Choice& choice) try {
  if (!choice.measures()) return;
  const std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
  if (!lock) return;
  if (table().size() >= kMostKinds) table().clear();
  table()[key] = {choice, age.load()};
} catch (const std::bad_alloc&) {  // then it is measured again
}

void plans_forget() { age.fetch_add(1); }

Choice choice_of(const PlanKey& key, const std::vector<Plan>& plans) {
  std::vector<bool> teams;
  for (const Plan& plan : plans) teams.push_back(plan.team > 1);
  const std::optional<Choice> known = plans_find(key);
  return known ? known->for_next_call() : Choice(teams);
}

}  // namespace retrograd
