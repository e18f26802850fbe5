// See stages.h.
#include "network/stages.h"

#include <algorithm>
#include <stdexcept>

namespace retrograd {

template <class T>
int Stages<T>::team(double share, int n_threads, int forced) const {
  return team_size(share * network_.flops_per_row() * static_cast<double>(rows_), panels(rows_), n_threads, forced);
}

template <class T>
bool Stages<T>::forward(const Rows& x, int n_threads, int forced, Poll poll, bool training) {
  if (training && network_.normalises_batch() && x.rows == 1) {
    throw std::invalid_argument("batch normalisation: expected more than one row in training, got 1");
  }
  has_forward_ = has_backward_ = false;
  if (!work_ || work_->batch() != x.rows) {
    work_.reset();
    work_ = std::make_unique<Workspace<T>>(network_, x.rows, Keep::everything);
  }
  rows_ = x.rows;
  work_->training = training;
  work_->step = network_.steps;
  Interrupt interrupt(poll);
  run_team(team(1.0 / 3, n_threads, forced), [&](const Member& me) {
    Watch watch(interrupt, me);
    const Index p0 = me.begin(panels(rows_)), p1 = me.end(panels(rows_));
    load_inputs(*work_, x, Selection{}, p0, p1, rows_);
    perturb_inputs(network_, *work_, p0, p1, rows_);
    if (network_.normalises_batch()) {
      me.wait();
      forward_pass_split(network_, *work_, rows_, me, watch);
    } else {
      forward_pass(network_, *work_, p0, p1, rows_, watch);
    }
  });
  if (training && !interrupt.stopped()) remember_statistics(network_, *work_, rows_, Member{});
  version_ = network_.version;
  has_forward_ = !interrupt.stopped();
  return has_forward_;
}

template <class T>
template <class Seed>
bool Stages<T>::run_backward(Seed seed, int n_threads, int forced, Poll poll) {
  has_backward_ = false;
  Interrupt interrupt(poll);
  run_team(team(2.0 / 3, n_threads, forced), [&](const Member& me) {
    Watch watch(interrupt, me);
    const Index p0 = me.begin(panels(rows_)), p1 = me.end(panels(rows_));
    seed(p0, p1);
    if (network_.normalises_batch()) {
      me.wait();
      backward_pass_split(network_, *work_, rows_, me, watch, true);
    } else {
      backward_pass(network_, *work_, p0, p1, rows_, watch);
    }
    me.wait();
    if (interrupt.stopped()) return;
    dw_pass<T>(network_, *work_, {work_->gradients().data()}, rows_, me);
  });
  has_backward_ = !interrupt.stopped();
  return has_backward_;
}

template <class T>
bool Stages<T>::backward(const Targets& y, double& loss, int n_threads, int forced, Poll poll) {
  const bool finished = run_backward(
      [&](Index p0, Index p1) {
        load_targets(*work_, y, Selection{}, p0, p1, rows_);
        loss_pass(network_, *work_, y, p0, p1, rows_, weight_of<T>(y, Selection{}, rows_), true);
      },
      n_threads, forced, poll);
  const Score score = batch_score(*work_, rows_);
  loss = score.mean(score.loss);
  return finished;
}

template <class T>
bool Stages<T>::backward(const Rows& dz, int n_threads, int forced, Poll poll) {
  const Panels<T> delta = work_->delta(network_.depth());
  return run_backward([&](Index p0, Index p1) { gather_panels(network_.kernels(), dz, Selection{}, p0, p1, rows_, delta); },
                      n_threads, forced, poll);
}

template <class T>
Arena<T> Stages<T>::input_gradient(Panels<T>& dx, int n_threads) const {
  const Index height = padded_rows(network_.inputs());
  Arena<T> result(checked_multiply(checked_multiply(panels(rows_), height), kLanes));
  dx = {result.data(), height};
  const Panels<T> delta = work_->delta(1);
  Interrupt interrupt{Poll{}};
  run_team(team(1.0 / 3, n_threads, 0), [&](const Member& me) {
    Watch watch(interrupt, me);
    const Part part{me.begin(panels(rows_)), me.end(panels(rows_))};
    dense_delta<T>(network_.kernels(), network_.layer(0), dx, {delta.data, delta.rows}, {}, Activation::identity, part, rows_,
                   watch);
    drop_input_gradient(network_, *work_, dx, part.p0, part.p1, rows_);
  });
  return result;
}

template class Stages<float>;
template class Stages<double>;

}  // namespace retrograd
