// See stages.h.
#include "network/stages.h"

#include <algorithm>
#include <stdexcept>

namespace retrograd {

template <class T>
bool Stages<T>::forward(const Rows& x, Threads threads, Poll poll, bool training) {
  if (training && network_.normalises_batch() && x.rows == 1) {
    throw std::invalid_argument("batch normalisation: expected more than one row in training, got 1");
  }
  has_forward_ = has_backward_ = false;
  if (!work_ || work_->batch() != x.rows) {
    work_.reset();
    work_ = std::make_unique<Workspace<T>>(network_, x.rows, Purpose::by_hand);
  }
  rows_ = x.rows;
  work_->training = training;
  work_->step = network_.steps;
  Interrupt interrupt(poll);
  TeamChoices::Turn turn(&teams_, training, flops(1.0 / 3), panels(rows_), threads);
  Team team(turn.threads());
  const Pass<T> pass(network_, *work_, rows_);
  const bool finished = shared_forward(pass, {team, interrupt, split()}, x, Selection{});
  if (finished) turn.end(team.was_late());
  if (training && finished) pass.remember_statistics(Share{});
  version_ = network_.version;
  has_forward_ = finished;
  return has_forward_;
}

template <class T>
template <class F>
bool Stages<T>::run_backward(F seed, Threads threads, Poll poll) {
  has_backward_ = false;
  Interrupt interrupt(poll);
  TeamChoices::Turn turn(&teams_, 2, flops(2.0 / 3), panels(rows_), threads);
  Team team(turn.threads());
  const Pass<T> pass(network_, *work_, rows_);
  const Sharing sharing{team, interrupt, split()};
  const Seed<T> put{[](void* context, const Pass<T>& of, const Part& rows) { (*static_cast<F*>(context))(of, rows); }, &seed};
  if (shared_backward(pass, sharing, put)) {
    shared_gradients(pass, sharing, GradientSink<T>{work_->gradients().data()});
    has_backward_ = true;
    turn.end(team.was_late());
  }
  return has_backward_;
}

template <class T>
bool Stages<T>::backward(const Targets& y, double& loss, Threads threads, Poll poll) {
  const double divisor = divisor_of<T>(y, Selection{}, rows_);
  const bool finished = run_backward(
      [&](const Pass<T>& pass, const Part& rows) {
        pass.load_targets(y, Selection{}, rows);
        pass.loss(y, divisor, true, rows);
      },
      threads, poll);
  Score score;
  add_scores(score, *work_, rows_);
  loss = batch_loss(y, score, rows_);
  return finished;
}

template <class T>
bool Stages<T>::backward(const Rows& dz, Threads threads, Poll poll) {
  const Panels<T> delta = work_->delta(network_.depth() - 1);
  return run_backward(
      [&](const Pass<T>&, const Part& rows) {
        gather_panels(network_.kernels(), dz, Selection{}, rows.p0, rows.p1, rows_, delta);
      },
      threads, poll);
}

template <class T>
Arena<T> Stages<T>::input_gradient(Panels<T>& dx, Threads threads) const {
  const Index height = padded_rows(network_.inputs());
  Arena<T> result(checked_multiply(checked_multiply(panels(rows_), height), kLanes));
  dx = {result.data(), height};
  const Panels<T> delta = work_->delta(0);
  Interrupt interrupt{Poll{}};
  TeamChoices::Turn turn(&teams_, 3, flops(1.0 / 3), panels(rows_), {threads.wish});
  Team team(turn.threads());
  const Pass<T> pass(network_, *work_, rows_);
  team.each([&](const Share& share, int number) {
    InterruptWatch watch(interrupt, number);
    const Part part{share.begin(panels(rows_)), share.end(panels(rows_))};
    dense_delta<T>(network_.kernels(), network_.layer(0), dx, {delta.data, delta.rows}, {}, Activation::identity, part, rows_,
                   watch);
    pass.drop_input_gradient(dx, part);
  });
  turn.end(team.was_late());
  return result;
}

template class Stages<float>;
template class Stages<double>;

}  // namespace retrograd
