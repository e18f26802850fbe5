// See trainer.h.
#include "training/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/random.h"

namespace retrograd {
namespace {

// Where the data set is larger, the next batch's rows may come from far away.
constexpr Index kFarBytes = 1 << 20;

// Whether a batch is better split by the units of each layer, with a barrier after each, than by its panels: where these
// would leave the members a quarter of their time to wait, and there is work between the barriers (a busy machine makes each
// of them dear).
template <class T>
bool splits_units(const Network<T>& network, Index rows, int team, int forced) {
  if (network.normalises_batch()) return true;  // each mean is one member's work
  if (team == 1) return false;                  // without a division: this is asked at every step
  const Index count = panels(rows), rounds = (count + team - 1) / team;
  if (4 * count > 3 * rounds * team) return false;
  const double intervals = 2.0 * static_cast<double>(network.depth()) + 2;
  const double share = network.flops_per_row() * static_cast<double>(rows) / static_cast<double>(team) / intervals;
  return forced > 0 || share >= 2 * kFlopsPerThread;
}

}  // namespace

template <class T>
void Trainer<T>::prepare(const EpochArgs<T>& args, Optimizer<T>& optimizer) {
  const Index batch = std::min(args.batch, args.x.rows);
  if (!work_ || work_->batch() != batch) {
    work_.reset();
    work_ = std::make_unique<Workspace<T>>(network_, batch, Keep::training);
  }
  if (args.snapshot && !snapshot_.data()) snapshot_ = Arena<T>(network_.parameters().size());
  if (args.x.rows > static_cast<Index>(std::numeric_limits<std::uint32_t>::max())) {
    throw std::length_error("more than 2^32 - 1 rows");
  }
  if (args.shuffle && order_.size() != args.x.rows) {
    order_ = Arena<std::uint32_t>(args.x.rows);
    ordered_ = false;
  }
  if (network_.normalises_batch() && (batch == 1 || args.x.rows % batch == 1)) {
    throw std::invalid_argument("batch normalisation: expected more than one row in every batch, got " +
                                std::to_string(args.x.rows) + " rows in batches of " + std::to_string(batch));
  }
  if (args.snapshot && !statistics_.data()) statistics_ = Arena<T>(network_.statistics().size());
  optimizer.prepare();
  if (stores(args, optimizer)) stored_.prepare(network_, true);
  gradient_norms_.assign(args.gradient_norms ? static_cast<std::size_t>(network_.depth()) : 0, 0.0);
}

// Whether gradients are stored before they are used: where all must be known first, and in a small network, where one pass over
// all of it is the faster way for what is not fused.
template <class T>
bool Trainer<T>::stores(const EpochArgs<T>& args, const Optimizer<T>& optimizer) const {
  return args.gradient_norms || optimizer.clips_norm() || (work_->small() && !optimizer.alike());
}

// dw, db and the update by way of stored gradients.
template <class T>
void Trainer<T>::stored_step(const EpochArgs<T>& args, const Optimizer<T>& optimizer, Index batch, const Member& me,
                             bool first_split) {
  T* gradients = stored_.own().data();
  dw_pass(network_, *work_, {gradients}, batch, me, first_split);
  me.wait();
  double scale = 1;
  if (args.gradient_norms || optimizer.clips_norm()) {
    stored_.square(network_, gradients, me);
    me.wait();
    if (optimizer.clips_norm()) scale = stored_.scale(optimizer);
    for (Index l = 0; me.id == 0 && args.gradient_norms && l < network_.depth(); ++l) {
      gradient_norms_[static_cast<std::size_t>(l)] += std::sqrt(stored_.squares_of_layer(l));
    }
  }
  update_pass(network_, gradients, optimizer, scale, me);
}

template <class T>
EpochResult Trainer<T>::epoch(const EpochArgs<T>& args, Optimizer<T>& optimizer) {
  prepare(args, optimizer);
  Workspace<T>& work = *work_;
  work.step = network_.steps;
  if (args.first == 0 && args.snapshot) {  // a step that a callback makes within an epoch leaves them
    steps_before_ = network_.steps;
    std::copy_n(network_.statistics().data(), statistics_.size(), statistics_.data());
  }
  const Arena<T>& parameters = network_.parameters();
  const Index rows = args.x.rows, batch = work.batch(), lines = parameters.size() / kLanes;
  const Index all_steps = rows == 0 ? 0 : (rows - 1) / batch + 1,
              last = args.last < 0 ? all_steps : std::min(args.last, all_steps);
  const bool stored = stores(args, optimizer);
  const double step_flops = network_.flops_per_row() * static_cast<double>(batch);
  const int size = team_size(step_flops, std::max(panels(batch), network_.inputs() / kLanes), args.n_threads, args.forced);

  if (args.first == 0) {
    progress_.rows = 0;
    progress_.loss = 0;
  }
  const double loss_before = progress_.loss;
  EpochResult result;
  Interrupt interrupt(args.poll);
  if (args.shuffle && !(args.first > 0 && ordered_ && order_seed_ == args.seed && order_epoch_ == args.epoch)) {
    ordered_ = false;
    Watch watch(interrupt, Member{});
    const auto stop = [](void* context) { return static_cast<Watch*>(context)->spent(1e6); };
    if (!permutation(args.seed, args.epoch, static_cast<std::uint32_t>(args.x.rows), order_.data(), stop, &watch)) {
      result.end = EpochEnd::interrupted;
      return result;
    }
    ordered_ = true;
    order_seed_ = args.seed;
    order_epoch_ = args.epoch;
  }
  std::atomic<bool> finite{true};
  result.team = run_team(size, [&](const Member& me) {
    Watch watch(interrupt, me);
    const Index line0 = me.begin(lines), values = (me.end(lines) - line0) * kLanes;
    T* share = parameters.data() + line0 * kLanes;
    const bool small = work.small() && me.size == 1 && !args.y.weights.data;
    const bool far = args.shuffle && rows * args.x.cols * source_size(args.x.source) > kFarBytes;
    const Rows answers = args.y.labels ? Rows{args.y.labels, rows, 1, sizeof(std::int32_t), Source::float32} : args.y.rows;
    if (args.snapshot && args.first == 0) std::copy(share, share + values, snapshot_.data() + line0 * kLanes);
    for (Index step = args.first; step < last; ++step) {
      const Index start = step * batch;
      const Index m = std::min(batch, rows - start);
      const Selection selection{args.shuffle ? order_.data() : nullptr, start};
      const Index next = far && step + 1 < last ? std::min(batch, rows - start - m) : 0;  // rows of the next batch to ask for
      if (me.id == 0) optimizer.begin_step(args.lr ? args.lr[step] : optimizer.settings().lr);  // read after the next barrier
      Score score;
      bool first_split = false;
      if (small) {
        score = small_pass(network_, work, args.x, args.y, selection, m);
        fetch_ahead(args.x, selection, m, m + next);
        fetch_ahead(answers, selection, m, m + next);
        if (watch.spent(network_.flops_per_row() * static_cast<double>(m))) return;
      } else {
        const Index p0 = me.begin(panels(m)), p1 = me.end(panels(m));
        const bool split = splits_units(network_, m, me.size, args.forced);
        first_split = !split && splits_first_layer(network_, work, m, me.size, args.forced);
        load_inputs(work, args.x, selection, p0, p1, m);
        fetch_ahead(args.x, selection, m + std::min(next, p0 * kLanes), m + std::min(next, p1 * kLanes));
        if (network_.perturbs()) perturb_inputs(network_, work, p0, p1, m);
        if (split || first_split) me.wait();
        const bool forwarded = split         ? forward_pass_split(network_, work, m, me, watch)
                               : first_split ? forward_pass_first_split(network_, work, p0, p1, m, me, watch)
                                             : forward_pass(network_, work, p0, p1, m, watch);
        if (forwarded) {
          load_targets(work, args.y, selection, p0, p1, m);
          loss_pass(network_, work, args.y, p0, p1, m, weight_of<T>(args.y, selection, m), true);
        }
        if (split) {
          me.wait();
          backward_pass_split(network_, work, m, me, watch, forwarded);
        } else if (forwarded) {
          backward_pass(network_, work, p0, p1, m, watch);
        }
        me.wait();
        // Between the barriers nothing changes the flag or the scores, so that all members come to the same decision.
        if (interrupt.stopped()) return;
        score = batch_score(work, m);
      }
      if (!std::isfinite(score.loss)) {
        if (me.id == 0) {
          result.end = EpochEnd::diverged;
          result.bad_loss = score.mean(score.loss);
          result.bad_step = step + 1;
        }
        return;
      }
      if (stored) {
        stored_step(args, optimizer, m, me, first_split);
      } else {
        dw_pass(network_, work, optimizer.destination(), m, me, first_split);
      }
      if (network_.normalises_batch()) remember_statistics(network_, work, m, me);
      if (network_.limits_norms()) {
        me.wait();
        limit_norms(network_, optimizer.destination().updates, me);
      }
      if (me.id == 0) {
        ++work.step;  // which nobody reads before the barrier
        result.score += score;
        ++result.steps;
        progress_.rows.store(start + m, std::memory_order_relaxed);
        const double sum = result.score.loss, seen = static_cast<double>(start + m - args.first * batch);
        progress_.loss.store(loss_before + (args.y.weights.data ? result.score.mean(sum) * seen : sum),
                             std::memory_order_relaxed);
      }
      me.wait();
      if (me.id == 0) optimizer.end_step();
    }
    if (args.snapshot && !network_.kernels().finite[static_cast<int>(source_of<T>)](values, share)) finite = false;
  });

  if (interrupt.stopped()) result.end = EpochEnd::interrupted;
  if (result.end == EpochEnd::finished && !finite) {
    result.end = EpochEnd::diverged;
    result.bad_loss = std::numeric_limits<double>::quiet_NaN();
    result.bad_step = args.first + result.steps;
  }
  if (result.end == EpochEnd::diverged && args.snapshot) {
    std::copy(snapshot_.data(), snapshot_.data() + snapshot_.size(), parameters.data());
    optimizer.clear();
    std::copy_n(statistics_.data(), statistics_.size(), network_.statistics().data());
    network_.steps = steps_before_;
  } else {
    network_.steps = work.step;
  }
  ++network_.version;
  return result;
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace retrograd
