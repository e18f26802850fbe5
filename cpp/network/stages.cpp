// See stages.h.
#include "network/stages.h"

#include <algorithm>
#include <stdexcept>

namespace retrograd {

template <class T>
int Stages<T>::team(double share, Threads threads) const {
  return team_size(share * network_.flops_per_row() * static_cast<double>(rows_), panels(rows_), threads);
}

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
  run_team(team(1.0 / 3, threads), [&](const Member& me) {
    InterruptWatch watch(interrupt, me);
    Pass<T> pass(network_, *work_, rows_, me, watch, split());
    pass.load_inputs(x, Selection{});
    pass.forward();
  });
  if (training && !interrupt.stopped()) {
    const Member alone;
    InterruptWatch watch(interrupt, alone);
    Pass<T>(network_, *work_, rows_, alone, watch).remember_statistics();
  }
  version_ = network_.version;
  has_forward_ = !interrupt.stopped();
  return has_forward_;
}

template <class T>
template <class Seed>
bool Stages<T>::run_backward(Seed seed, Threads threads, Poll poll) {
  has_backward_ = false;
  Interrupt interrupt(poll);
  run_team(team(2.0 / 3, threads), [&](const Member& me) {
    InterruptWatch watch(interrupt, me);
    Pass<T> pass(network_, *work_, rows_, me, watch, split());
    seed(pass);
    pass.backward();
    me.wait();
    if (interrupt.stopped()) return;
    pass.gradients({work_->gradients().data()});
  });
  has_backward_ = !interrupt.stopped();
  return has_backward_;
}

template <class T>
bool Stages<T>::backward(const Targets& y, double& loss, Threads threads, Poll poll) {
  const bool finished = run_backward(
      [&](Pass<T>& pass) {
        pass.load_targets(y, Selection{});
        pass.loss(y, divisor_of<T>(y, Selection{}, rows_), true);
      },
      threads, poll);
  loss = batch_loss(y, batch_score(*work_, rows_), rows_);
  return finished;
}

template <class T>
bool Stages<T>::backward(const Rows& dz, Threads threads, Poll poll) {
  const Panels<T> delta = work_->delta(network_.depth() - 1);
  return run_backward(
      [&](Pass<T>& pass) {
        gather_panels(network_.kernels(), dz, Selection{}, pass.first_panel(), pass.last_panel(), rows_, delta);
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
  run_team(team(1.0 / 3, {threads.wish}), [&](const Member& me) {
    InterruptWatch watch(interrupt, me);
    const Pass<T> pass(network_, *work_, rows_, me, watch);
    const Part part{pass.first_panel(), pass.last_panel()};
    dense_delta<T>(network_.kernels(), network_.layer(0), dx, {delta.data, delta.rows}, {}, Activation::identity, part, rows_,
                   watch);
    pass.drop_input_gradient(dx);
  });
  return result;
}

template class Stages<float>;
template class Stages<double>;

}  // namespace retrograd
