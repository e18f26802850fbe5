// See step.h.
#include "training/step.h"

#include <algorithm>
#include <cmath>

namespace retrograd {

template <class T>
Step<T>::Step(const StepContext<T>& context, const Member& member, InterruptWatch& watch, const Interrupt& interrupt)
    : context_(context),
      me_(member),
      watch_(watch),
      interrupt_(interrupt),
      clock_(context.clocks ? context.clocks + member.id : nullptr),
      batch_(context.work.batch()),
      rows_(context.x.rows),
      answers_(context.y.rows),
      small_(context.work.way().small && member.size == 1 && !context.y.row_weights.data),
      updates_apart_(context.stored || context.network.limits_norms()) {
  if (context.y.labels) answers_ = {context.y.labels, rows_, 1, sizeof(std::int32_t), Source::float32};
}

// Prefetches this member's rows of the batch that follows step `number`.
template <class T>
void Step<T>::fetch_next(const Pass<T>* pass, Selection selection, Index number) const {
  const Index m = rows_of(number), next = std::min(batch_, rows_ - number * batch_ - m);
  if (next <= 0) return;
  const Index begin = pass ? std::min(next, pass->first_panel() * kLanes) : 0;
  const Index end = pass ? std::min(next, pass->last_panel() * kLanes) : next;
  fetch_ahead(context_.x, selection, m + begin, m + end);
  if (!pass) fetch_ahead(answers_, selection, m + begin, m + end);
}

template <class T>
StepEnd Step<T>::run_passes(Index number, Score& score) {
  const StepContext<T>& c = context_;
  const Index m = rows_of(number);
  const Selection selection = selection_of(number);
  Pass<T> pass(c.network, c.work, m, me_, watch_, split_for(c.network, c.work, m, me_.size, c.threads), clock_);
  pass.load_inputs(c.x, selection);
  if (c.far) fetch_next(&pass, selection, number);
  const bool forwarded = pass.forward();
  if (forwarded) {
    pass.load_targets(c.y, selection);
    pass.loss(c.y, divisor_of<T>(c.y, selection, m), true);
  }
  pass.backward(forwarded);
  pass.wait(Phase::wait_for_deltas);
  // Between the barriers nothing changes the flag or the scores, so that all members come to the same decision.
  if (interrupt_.stopped()) return StepEnd::interrupted;
  score = batch_score(c.work, m);
  if (!std::isfinite(score.loss)) return StepEnd::diverged;
  update(pass);
  return StepEnd::finished;
}

template <class T>
void Step<T>::update(Pass<T>& pass) {
  const StepContext<T>& c = context_;
  if (c.stored) {
    update_stored(pass);
  } else {
    pass.gradients(c.optimizer.sink());
  }
  if (c.network.normalises_batch()) pass.remember_statistics();
  if (c.network.limits_norms()) {
    me_.wait();
    limit_norms(c.network, c.optimizer, me_);
  }
  tick(Phase::gradients);
}

template <class T>
void Step<T>::update_stored(Pass<T>& pass) {
  const StepContext<T>& c = context_;
  T* gradients = c.stored->own().data();
  pass.gradients({gradients});
  me_.wait();
  double scale = 1;
  if (c.gradient_norms || c.optimizer.clips_norm()) {
    c.stored->square(c.network, gradients, me_);
    me_.wait();
    if (c.optimizer.clips_norm()) scale = c.stored->scale(c.optimizer);
    for (Index l = 0; me_.id == 0 && c.gradient_norms && l < c.network.depth(); ++l) {
      (*c.gradient_norms)[static_cast<std::size_t>(l)] += std::sqrt(c.stored->squares_of_layer(l));
    }
  }
  update_pass(c.network, gradients, c.optimizer, scale, me_);
}

template class Step<float>;
template class Step<double>;

}  // namespace retrograd
