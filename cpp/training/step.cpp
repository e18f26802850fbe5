// See step.h.
#include "training/step.h"

#include <algorithm>
#include <cmath>

namespace retrograd {

template <class T>
Step<T>::Step(const StepContext<T>& context)
    : context_(context),
      watch_(context.interrupt),
      batch_(context.work.batch()),
      rows_(context.x.rows),
      answers_(context.y.rows),
      small_(context.work.way().small && context.team.size() == 1 && !context.y.row_weights.data),
      updates_apart_(context.stored || context.network.limits_norms()) {
  if (context.y.labels) answers_ = {context.y.labels, rows_, 1, sizeof(std::int32_t), Source::float32};
}

// Prefetches the rows of the batch that follows step `number`.
template <class T>
void Step<T>::fetch_next(Selection selection, Index number, bool answers) const {
  const Index m = rows_of(number), next = std::min(batch_, rows_ - number * batch_ - m);
  if (next <= 0) return;
  fetch_ahead(context_.x, selection, m, m + next);
  if (answers) fetch_ahead(answers_, selection, m, m + next);
}

template <class T>
StepEnd Step<T>::run_passes(Index number, Score& score) {
  const StepContext<T>& c = context_;
  const Index m = rows_of(number);
  const Selection selection = selection_of(number);
  const Pass<T> pass(c.network, c.work, m);
  const Sharing sharing{c.team, c.interrupt, split_for(c.network, c.work, m, c.team.size(), c.threads), c.clocks};
  if (c.far) fetch_next(selection, number, false);
  if (!shared_passes(pass, sharing, c.x, c.y, selection)) return StepEnd::interrupted;
  score = batch_score(c.work, m);
  if (!std::isfinite(score.loss)) return StepEnd::diverged;
  update(pass, sharing);
  return StepEnd::finished;
}

template <class T>
void Step<T>::update(const Pass<T>& pass, const Sharing& sharing) const {
  const StepContext<T>& c = context_;
  if (c.stored) {
    update_stored(pass, sharing);
  } else {
    shared_gradients(pass, sharing, c.optimizer.sink());
  }
  if (c.network.normalises_batch()) c.team.each([&](const Share& share, int) { pass.remember_statistics(share); });
  if (c.network.limits_norms()) c.team.each([&](const Share& share, int) { limit_norms(c.network, c.optimizer, share); });
  tick(Phase::gradients);
}

template <class T>
void Step<T>::update_stored(const Pass<T>& pass, const Sharing& sharing) const {
  const StepContext<T>& c = context_;
  T* gradients = c.stored->own().data();
  shared_gradients(pass, sharing, GradientSink<T>{gradients});
  double scale = 1;
  if (c.gradient_norms || c.optimizer.clips_norm()) {
    c.team.each([&](const Share& share, int) { c.stored->square(c.network, gradients, share); });
    if (c.optimizer.clips_norm()) scale = c.stored->scale(c.optimizer);
    for (Index l = 0; c.gradient_norms && l < c.network.depth(); ++l) {
      (*c.gradient_norms)[static_cast<std::size_t>(l)] += std::sqrt(c.stored->squares_of_layer(l));
    }
  }
  c.team.each([&](const Share& share, int) { update_pass(c.network, gradients, c.optimizer, scale, share); });
}

template class Step<float>;
template class Step<double>;

}  // namespace retrograd
