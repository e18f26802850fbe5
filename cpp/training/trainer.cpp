// See trainer.h.
#include "training/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "network/blend.h"

namespace retrograd {

template <class T>
void Trainer<T>::prepare(const EpochArgs<T>& args, Optimizer<T>& optimizer) {
  const Index batch = std::min(args.batch, args.x.rows);
  if (!work_ || work_->batch() != batch) {
    work_.reset();
    work_ = std::make_unique<Workspace<T>>(network_, batch, Purpose::training);
  }
  if (args.x.rows > static_cast<Index>(std::numeric_limits<std::uint32_t>::max())) {
    throw std::length_error("more than 2^32 - 1 rows");
  }
  if (args.shuffle) order_.prepare(args.x.rows);
  if (args.drop_last && args.x.rows < args.batch) {
    throw std::invalid_argument("drop_last: expected at least " + std::to_string(args.batch) + " rows, a whole batch, got " +
                                std::to_string(args.x.rows));
  }
  if (network_.normalises_batch() && (batch == 1 || (!args.drop_last && args.x.rows % batch == 1))) {
    throw std::invalid_argument("batch normalisation: expected more than one row in every batch, got " +
                                std::to_string(args.x.rows) + " rows in batches of " + std::to_string(batch));
  }
  if (args.average && !(args.average->table() == network_.table())) {
    throw std::invalid_argument("average: the layers of the two networks differ");
  }
  if (args.snapshot) snapshot_.prepare(network_);
  if (args.snapshot && args.average) average_snapshot_.prepare(*args.average);
  optimizer.prepare();
  if (stores(args, optimizer)) stored_.prepare(network_, true);
  gradient_norms_.assign(args.gradient_norms ? static_cast<std::size_t>(network_.depth()) : 0, 0.0);
}

template <class T>
bool Trainer<T>::stores(const EpochArgs<T>& args, const Optimizer<T>& optimizer) const {
  return args.gradient_norms || optimizer.clips_norm() || (work_->way().small && !optimizer.uniform());
}

template <class T>
void Trainer<T>::report(const EpochArgs<T>& args, const EpochResult& result, Index rows_done, double loss_before) {
  progress_.rows.store(rows_done, std::memory_order_relaxed);
  const double sum = result.score.loss, seen = static_cast<double>(rows_done - args.first * work_->batch());
  progress_.loss.store(loss_before + (args.y.row_weights.data ? result.score.mean(sum) * seen : sum),
                       std::memory_order_relaxed);
}

template <class T>
EpochResult Trainer<T>::epoch(const EpochArgs<T>& args, Optimizer<T>& optimizer) {
  prepare(args, optimizer);
  Workspace<T>& work = *work_;
  work.step = network_.steps;
  const bool keeps = args.first == 0 && args.snapshot;  // only at the epoch's start: an epoch that goes on keeps them
  if (args.first == 0) {
    progress_.rows = 0;
    progress_.loss = 0;
  }
  const double loss_before = progress_.loss;
  EpochResult result;
  Interrupt interrupt(args.poll);
  if (args.shuffle && !order_.draw(args.seed, args.epoch, interrupt)) {
    result.end = EpochEnd::interrupted;
    return result;
  }

  const Arena<T>& parameters = network_.parameters();
  const Index rows = args.x.rows, batch = work.batch(), lines = parameters.size() / kLanes;
  const Index all_steps = steps_of(rows, args.batch, args.drop_last);
  const bool begins = args.average && args.average->steps == 0;  // the average does, with the first step
  const Index last = args.last < 0 ? all_steps : std::min(args.last, all_steps);
  const bool far = args.shuffle && rows * args.x.cols * source_size(args.x.source) > kFarBytes;
  const double step_flops = network_.flops_per_row() * static_cast<double>(batch);
  Team team(team_size(step_flops, std::max(panels(batch), network_.inputs() / kLanes), args.threads));
  const StepContext<T> context{network_,
                               work,
                               optimizer,
                               stores(args, optimizer) ? &stored_ : nullptr,
                               args.gradient_norms ? &gradient_norms_ : nullptr,
                               args.x,
                               args.y,
                               args.shuffle ? order_.data() : nullptr,
                               args.lr,
                               far,
                               args.threads,
                               args.clocks,
                               team,
                               interrupt};
  result.team = team.size();
  if (keeps) {
    team.each([&](const Share& share, int) {
      snapshot_.take(network_, share);
      if (args.average) average_snapshot_.take(*args.average, share);
    });
  }
  Step<T> step(context);
  for (Index i = args.first; i < last; ++i) {
    Score score;
    const StepEnd end = step.run(i, score);
    if (end == StepEnd::diverged) {
      result.end = EpochEnd::diverged;
      result.bad_loss = score.mean(score.loss);
      result.bad_step = i + 1;
    }
    if (end != StepEnd::finished) break;
    ++work.step;
    result.score += score;
    ++result.steps;
    report(args, result, i * batch + step.rows_of(i), loss_before);
    if (args.average) {
      const double tau = begins && i == args.first ? 1 : args.tau;
      team.each([&](const Share& share, int) { blend(*args.average, network_, tau, share); });
    }
  }
  std::atomic<bool> finite{true};
  if (args.snapshot && result.end == EpochEnd::finished) {
    const auto all_finite = network_.kernels().finite[static_cast<int>(source_of<T>)];
    team.each([&](const Share& share, int) {
      const Index begin = share.begin(lines), count = share.end(lines) - begin;
      if (!all_finite(count * kLanes, parameters.data() + begin * kLanes)) finite = false;
    });
  }

  if (interrupt.stopped()) result.end = EpochEnd::interrupted;
  if (result.end == EpochEnd::finished && !finite) {
    result.end = EpochEnd::diverged;
    result.bad_loss = std::numeric_limits<double>::quiet_NaN();
    result.bad_step = args.first + result.steps;
  }
  network_.steps = work.step;
  if (args.average && result.steps > 0) args.average->steps = work.step;
  if (result.end == EpochEnd::diverged && args.snapshot) {
    snapshot_.put_back(network_);
    if (args.average) average_snapshot_.put_back(*args.average);
    optimizer.clear();
  }
  ++network_.version;
  if (args.average) ++args.average->version;
  return result;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace retrograd
