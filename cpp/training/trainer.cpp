// See trainer.h.
#include "training/trainer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "network/blend.h"

namespace retrograd {

template <class T>
void Trainer<T>::prepare(const EpochArgs<T>& args, Optimizer<T>& optimizer) {
  const Index batch = std::min(args.batch, args.x.rows);
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
  gradient_norms_.assign(args.gradient_norms ? static_cast<std::size_t>(network_.depth()) : 0, 0.0);
  if (batch == 0) return;  // there is nothing to learn from
  planned_.prepare(batch, args.x.source, args.threads, args.planning);
  bool stores = false, chained = false;
  for (const Plan& plan : planned_.plans()) {
    stores = stores || Step<T>::stores(optimizer, args.gradient_norms, plan);
    chained = chained || (plan.chunk > 0 && !plan.way.narrow);
  }
  if (stores) stored_.prepare(network_, true, chained);
}

template <class T>
void Trainer<T>::report(const EpochArgs<T>& args, const EpochResult& result, Index rows_done, double loss_before) {
  progress_.rows.store(rows_done, std::memory_order_relaxed);
  const double sum = result.score.loss, seen = static_cast<double>(rows_done - args.first * planned_.batch());
  progress_.loss.store(loss_before + (args.y.row_weights.data ? result.score.mean(sum) * seen : sum),
                       std::memory_order_relaxed);
}

// Takes the steps of an epoch, in blocks by one plan each, with at most so many threads.
template <class T>
void Trainer<T>::steps(const EpochArgs<T>& args, const StepContext<T>& context, int threads, EpochResult& result) {
  using Clock = std::chrono::steady_clock;
  Team& team = context.team;
  const Index all = steps_of(args.x.rows, args.batch, args.drop_last), whole = args.x.rows / context.batch;
  const Index last = args.last < 0 ? all : std::min(args.last, all);
  const bool begins = args.average && args.average->steps == 0;  // the average does, with the first step
  const double loss_before = progress_.loss;
  if (last - args.first > 1) planned_.resume();
  team.was_late();  // before the first step
  for (Index i = args.first; i < last;) {
    const Plan& plan = planned_.next();
    team.use(std::min(plan.team, threads));
    result.team = std::max(result.team, team.size());
    Step<T> step(context, plan, planned_.memory());
    Index end = std::min(last, i + planned_.steps_at_once());
    if (i < whole) end = std::min(end, whole);  // a smaller last batch is a block of its own, which is not timed
    const Index block = end - i;
    const bool timed = i < whole && planned_.wants_time(block);
    const Clock::time_point begin = timed ? Clock::now() : Clock::time_point{};
    const double asking = context.interrupt.seconds_of_asking();
    for (; i < end; ++i) {
      if (args.planning.before_step) args.planning.before_step(args.planning.context, planned_.current());
      Score score;
      const StepEnd ended = step.run(i, network_.steps, score);
      if (ended == StepEnd::diverged) {
        result.end = EpochEnd::diverged;
        result.bad_loss = score.mean(score.loss);
        result.bad_step = i + 1;
      }
      if (ended != StepEnd::finished) return;
      ++network_.steps;
      result.score += score;
      ++result.steps;
      report(args, result, i * context.batch + step.rows_of(i), loss_before);
      if (args.average) {
        const double tau = begins && i == args.first ? 1 : args.tau;
        team.each([&](const Share& share, int) { blend(*args.average, network_, tau, share); });
      }
    }
    const bool late = team.was_late();
    if (!timed) continue;
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    planned_.took(seconds - (context.interrupt.seconds_of_asking() - asking), block, late);
  }
}

template <class T>
EpochResult Trainer<T>::epoch(const EpochArgs<T>& args, Optimizer<T>& optimizer) {
  prepare(args, optimizer);
  if (args.first == 0) {
    progress_.rows = 0;
    progress_.loss = 0;
  }
  EpochResult result;
  if (args.x.rows == 0) return result;
  Interrupt interrupt(args.poll);
  if (args.shuffle && !order_.draw(args.seed, args.epoch, interrupt)) {
    result.end = EpochEnd::interrupted;
    return result;
  }

  // What other calls leave of the threads; the list of plans does not depend on it.
  const int most = planned_.most_threads();
  const int threads = most == 1 || args.threads.exactly > 0 ? most : std::max(1, planned_.max_threads() - threads_in_use());
  Team team;
  const StepContext<T> context{
      network_,         optimizer,
      stored_,          args.gradient_norms ? &gradient_norms_ : nullptr,
      planned_.batch(), args.x,
      args.y,           args.shuffle ? order_.data() : nullptr,
      args.lr,          args.shuffle && args.x.rows * args.x.cols * source_size(args.x.source) > kFarBytes,
      args.clocks,      team,
      interrupt};
  team.use(std::min(planned_.next().team, threads));
  if (args.first == 0 && args.snapshot) {  // only at the epoch's start: an epoch that goes on keeps them
    team.each([&](const Share& share, int) {
      snapshot_.take(network_, share);
      if (args.average) average_snapshot_.take(*args.average, share);
    });
  }
  steps(args, context, threads, result);
  std::atomic<bool> finite{true};
  if (args.snapshot && !interrupt.stopped() && result.end == EpochEnd::finished) {
    const Arena<T>& parameters = network_.parameters();
    const auto all_finite = network_.kernels().finite[static_cast<int>(source_of<T>)];
    const Index lines = parameters.size() / kLanes;
    team.each([&](const Share& share, int) {
      const Index begin = share.begin(lines) * kLanes, count = share.end(lines) * kLanes - begin;
      if (!all_finite(count, parameters.data() + begin)) finite = false;
    });
  }

  if (interrupt.stopped()) result.end = EpochEnd::interrupted;
  if (result.end == EpochEnd::finished && !finite) {
    result.end = EpochEnd::diverged;
    result.bad_loss = std::numeric_limits<double>::quiet_NaN();
    result.bad_step = args.first + result.steps;
  }
  if (args.average && result.steps > 0) args.average->steps = network_.steps;
  if (result.end == EpochEnd::diverged && args.snapshot) {
    snapshot_.put_back(network_);
    if (args.average) average_snapshot_.put_back(*args.average);
    optimizer.clear();
  }
  ++network_.version;
  if (args.average) ++args.average->version;
  planned_.tidy();
  return result;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace retrograd
