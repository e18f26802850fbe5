// See step.h.
#include "training/step.h"

#include <algorithm>
#include <cmath>

namespace retrograd {

template <class T>
Step<T>::Step(const StepContext<T>& context, const Plan& plan, const StepMemory<T>& memory)
    : context_(context),
      plan_(plan),
      work_(memory.panels.get()),
      narrow_(memory.narrow.get()),
      watch_(context.interrupt),
      rows_(context.x.rows),
      answers_(context.y.rows),
      small_(plan.way.small && context.team.size() == 1 && !context.y.row_weights.data),
      stores_(stores(context.optimizer, context.gradient_norms, plan)),
      updates_apart_(stores_ || context.network.limits_norms()) {
  if (context.y.labels) answers_ = {context.y.labels, rows_, 1, sizeof(std::int32_t), Source::float32};
}

// Prefetches the rows of the batch that follows step `number`.
template <class T>
void Step<T>::fetch_next(Selection selection, Index number, bool answers) const {
  const Index m = rows_of(number), next = std::min(context_.batch, rows_ - number * context_.batch - m);
  if (next <= 0) return;
  fetch_ahead(context_.x, selection, m, m + next);
  if (answers) fetch_ahead(answers_, selection, m, m + next);
}

template <class T>
StepEnd Step<T>::run_passes(Index number, Score& score) {
  const StepContext<T>& c = context_;
  const Index m = rows_of(number), most = plan_.chunk > 0 ? plan_.chunk : m;
  const Selection selection = selection_of(number);
  const double divisor = divisor_of<T>(c.y, selection, m);
  const Sharing sharing{c.team, c.interrupt, plan_.split, c.clocks};
  if (c.far) fetch_next(selection, number, false);
  for (Index r = 0; r < m; r += most) {
    const Index n = std::min(most, m - r);
    const Pass<T> pass(c.network, *work_, n, r);
    if (!shared_passes(pass, sharing, c.x, c.y, {selection.order, selection.start + r}, divisor)) return StepEnd::interrupted;
    add_scores(score, *work_, n);
    if (plan_.chunk == 0) break;
    GradientSink<T> sink{c.stored.own().data()};
    sink.first = r == 0;
    sink.last = r + n == m;
    sink.chains = c.stored.chains();
    shared_gradients(pass, sharing, sink);
  }
  if (!std::isfinite(score.loss)) return StepEnd::diverged;
  update(Pass<T>(c.network, *work_, m), sharing);
  return StepEnd::finished;
}

template <class T>
StepEnd Step<T>::run_narrow(Index number, Score& score) {
  const StepContext<T>& c = context_;
  const Index m = rows_of(number), chunk = narrow_->rows();
  const Selection selection = selection_of(number);
  T* gradients = c.stored.own().data();
  NarrowRows rows{c.x, c.y, selection, divisor_of<T>(c.y, selection, m)};
  const Index all = rows_ - number * context_.batch;  // rows that are left of the epoch, this batch included
  narrow_->turn_weights();
  for (Index r = 0; r < m; r += chunk) {
    const Index n = std::min(chunk, m - r), next = std::min(r + n + chunk, all) - r;
    rows.selection.start = selection.start + r;
    if (c.team.size() == 1) {
      narrow_->forward_backward(rows, 0, n, c.far ? Ahead{n, next} : Ahead{});
      narrow_->gradients(n, gradients, r == 0);
    } else {
      const Index groups = panels(n);
      c.team.each(std::min<Index>(groups, 2 * c.team.size()), [&](const Share& share, int) {
        const Index begin = share.begin(groups) * kLanes, end = std::min(n, share.end(groups) * kLanes);
        const Ahead ahead{n + share.begin(next - n), n + share.end(next - n)};
        narrow_->forward_backward(rows, begin, end, c.far ? ahead : Ahead{});
      });
      c.team.each(narrow_->gradient_pieces(),
                  [&](const Share& share, int) { narrow_->gradients(share.id, n, gradients, r == 0); });
    }
    for (Index p = 0; p < panels(n); ++p) score += narrow_->scores()[p];
    if (watch_.spent(c.network.flops_per_row() * static_cast<double>(n))) return StepEnd::interrupted;
  }
  tick(Phase::forward);
  if (!std::isfinite(score.loss)) return StepEnd::diverged;
  narrow_->finish(gradients);
  update_stored();
  if (c.network.limits_norms()) c.team.each([&](const Share& share, int) { limit_norms(c.network, c.optimizer, share); });
  tick(Phase::gradients);
  return StepEnd::finished;
}

template <class T>
void Step<T>::update(const Pass<T>& pass, const Sharing& sharing) const {
  const StepContext<T>& c = context_;
  if (!stores_) {
    shared_gradients(pass, sharing, c.optimizer.sink());
  } else {
    if (plan_.chunk == 0) shared_gradients(pass, sharing, GradientSink<T>{c.stored.own().data()});
    update_stored();
  }
  if (c.network.normalises_batch()) c.team.each([&](const Share& share, int) { pass.remember_statistics(share); });
  if (c.network.limits_norms()) c.team.each([&](const Share& share, int) { limit_norms(c.network, c.optimizer, share); });
  tick(Phase::gradients);
}

// Takes the step with gradients that are stored.
template <class T>
void Step<T>::update_stored() const {
  const StepContext<T>& c = context_;
  T* gradients = c.stored.own().data();
  double scale = 1;
  if (c.gradient_norms || c.optimizer.clips_norm()) {
    c.team.each([&](const Share& share, int) { c.stored.square(c.network, gradients, share); });
    if (c.optimizer.clips_norm()) scale = c.stored.scale(c.optimizer);
    for (Index l = 0; c.gradient_norms && l < c.network.depth(); ++l) {
      (*c.gradient_norms)[static_cast<std::size_t>(l)] += std::sqrt(c.stored.squares_of_layer(l));
    }
  }
  c.team.each([&](const Share& share, int) { update_pass(c.network, gradients, c.optimizer, scale, share); });
}

template class Step<float>;
template class Step<double>;

}  // namespace retrograd
