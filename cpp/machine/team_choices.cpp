// See team_choices.h.
#include "machine/team_choices.h"

#include <algorithm>
#include <cmath>

namespace retrograd {

TeamChoices::Entry* TeamChoices::find(int kind, int power, int most, bool team_first) {
  for (Entry& entry : entries_) {
    if (entry.kind == kind && entry.power == power && entry.most == most) return entry.in_use ? nullptr : &entry;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[next_];
    next_ = (next_ + 1) % entries_.size();
    if (entry.in_use) continue;
    entry.choice = Choice(std::vector<bool>{team_first, !team_first});
    entry.kind = kind;
    entry.power = power;
    entry.most = most;
    entry.team_first = team_first;
    return &entry;
  }
  return nullptr;
}

TeamChoices::Turn::Turn(TeamChoices* choices, int kind, double flops, Index shares, Threads threads) {
  if (!choices || threads.exactly > 0 || threads.wish == 1 || shares <= 1 || flops < kFlopsForTwo) {
    threads_ = team_size(flops, shares, threads);
    return;
  }
  const int likely = team_size(flops, shares, threads);
  const int free = std::max(1, max_threads() - threads_in_use());
  const int most = likely > 1 ? likely : std::min({2, free, threads.wish > 0 ? threads.wish : free});
  threads_ = likely;
  if (most == 1 || !plans_are_measured()) return;
  const std::unique_lock<std::mutex> lock(choices->mutex_, std::try_to_lock);
  if (!lock) return;
  const int power = std::ilogb(flops);
  entry_ = choices->find(kind, power, most, likely > 1);
  if (!entry_) return;
  entry_->in_use = true;
  threads_ = (entry_->choice.current() == 0) == entry_->team_first ? most : 1;
  work_ = std::ldexp(flops, -power);
  begin_ = std::chrono::steady_clock::now();
}

void TeamChoices::Turn::end(bool late) {
  if (!entry_) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  entry_->choice.took(seconds / work_, 1, late);
}

TeamChoices::Turn::~Turn() {
  if (entry_) entry_->in_use = false;
}

}  // namespace retrograd
