// See planned.h.
#include "training/planned.h"

#include <algorithm>
#include <new>
#include <string>

namespace retrograd {

template <class T>
void Planned<T>::prepare(Index batch, Source source, Threads threads, const Planning& planning) {
  const bool asks = threads.exactly == 0 && threads.wish != 1 &&
                    network_.flops_per_row() * static_cast<double>(batch) >= kFlopsForTwo;  // else it need not be known
  max_threads_ = asks ? retrograd::max_threads() : std::max(1, threads.exactly);
  const int allowed = asks && threads.wish > 0 ? std::min(threads.wish, max_threads_) : max_threads_;
  const bool exactly = threads.exactly > 0;
  if (ready_ && batch == key_.batch && source == key_.source && allowed == key_.limits.threads &&
      exactly == key_.limits.exactly && planning == planning_) {
    return;
  }
  if (measures_) plans_remember(key_, choice_);
  ready_ = measures_ = known_ = false;
  memory_.clear();
  in_memory_ = -1;
  Limits limits = limits_of(network_.kernels(), allowed);
  limits.exactly = exactly;
  key_ = {network_.shape(), batch, source, limits};
  planning_ = planning;
  plans_ = candidates(key_.shape, batch, source, limits);
  most_threads_ = 1;
  for (const Plan& plan : plans_) most_threads_ = std::max(most_threads_, plan.team);
  const std::size_t count = plans_.size();
  using Mode = Planning::Mode;
  choice_ = planning.mode == Mode::fixed ? Choice::fixed(count, std::min<Index>(planning.number, static_cast<Index>(count) - 1))
            : planning.mode == Mode::random ? Choice::random(count, planning.seed)
            : plans_are_measured()          ? choice_of(key_, plans_)
                                            : Choice::fixed(count, 0);
  next();
  measures_ = count > 1 && (choice_.measures() || planning.mode == Mode::random);
  ready_ = true;
}

template <class T>
const Plan& Planned<T>::next() {
  const Index wanted = choice_.current();
  if (wanted != in_memory_) {
    try {
      memory_of_current_ = &memory_for(plans_[static_cast<std::size_t>(wanted)]);
      in_memory_ = wanted;
    } catch (const std::bad_alloc&) {
      if (in_memory_ < 0) throw;
      choice_ = Choice::fixed(plans_.size(), in_memory_);  // the one that has its memory goes on
      measures_ = false;
    }
  }
  const Plan& plan = plans_[static_cast<std::size_t>(in_memory_)];
  if (memory_of_current_->panels && !plan.way.small) {
    const Kernels<T>& kernels = network_.kernels();
    memory_of_current_->panels->use(plan.vectors == Vectors::half ? *kernels.for_few_lanes : kernels);
  }
  return plan;
}

template <class T>
const StepMemory<T>& Planned<T>::memory_for(const Plan& plan) {
  const auto serves = [&plan](const Memory& other) {
    Plan of_it = other.plan;
    of_it.team = plan.team;
    of_it.split = plan.split;
    of_it.vectors = plan.vectors;
    return of_it == plan;
  };
  const auto found = std::find_if(memory_.begin(), memory_.end(), serves);
  if (found != memory_.end()) return found->parts;
  if (memory_.capacity() < kMostCandidates) memory_.reserve(kMostCandidates);  // addresses of parts must not change
  Memory made{plan, {}};
  const Index rows = plan.chunk > 0 ? std::min(plan.chunk, key_.batch) : key_.batch;
  if (plan.way.narrow) {
    made.parts.narrow = std::make_unique<NarrowWork<T>>(network_, rows);
  } else {
    made.parts.panels = std::make_unique<Workspace<T>>(network_, rows, Purpose::training, plan.way);
  }
  memory_.push_back(std::move(made));
  return memory_.back().parts;
}

template <class T>
void Planned<T>::tidy() {
  if (measures_ && choice_.settled() && !known_) {
    plans_remember(key_, choice_);
    known_ = true;
  }
  if (!choice_.settled() || memory_.size() < 2 || in_memory_ != choice_.current()) return;
  for (Memory& other : memory_) {
    if (&other.parts != memory_of_current_) continue;
    Memory kept = std::move(other);
    memory_.clear();
    memory_.push_back(std::move(kept));
    memory_of_current_ = &memory_.back().parts;
    break;
  }
}

template <class T>
Planned<T>::~Planned() {
  if (measures_) plans_remember(key_, choice_);
}

template <class T>
std::vector<std::string> Planned<T>::names() const {
  std::vector<std::string> names;
  for (const Plan& plan : plans_) names.push_back(describe(plan));
  return names;
}

template class Planned<float>;
template class Planned<double>;

}  // namespace retrograd
