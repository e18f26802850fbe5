// Where the time of a training step goes: the passes of cpp/trainer.cpp on a team of threads, with a clock between them.
//
//   retrograd_profile SIZES ACTIVATION LOSS BATCH ROWS MOMENTUM THREADS SECONDS PEAK
//
// SIZES: 64,128,10. PEAK: GFLOP/s of one thread, or 0 for no shares. Prints a table: for each phase and member of the team
// the median over steps in microseconds, and the share of one thread's peak where the phase multiplies. The clock costs some
// 20 ns a phase; the last line tells what the same step takes without it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>

#include "kernels/dispatch.h"
#include "base/random.h"
#include "training/trainer.h"

namespace {

using namespace retrograd;

enum Phase { kGather, kForward, kLoss, kTranspose, kDelta, kWaitBackward, kDw, kWaitDw, kPhases };
constexpr const char* kNames[kPhases] = {"gather", "forward",        "loss",        "transpose",
                                         "delta",  "wait for delta", "dw + update", "wait for dw"};

using Clock = std::chrono::steady_clock;

// Times one member's phases; each tick books the time since the last one.
class Stopwatch {
 public:
  explicit Stopwatch(std::size_t steps) {
    for (std::vector<float>& of_phase : us_) of_phase.reserve(steps);
  }
  void start() {
    std::fill(now_, now_ + kPhases, 0.0f);
    last_ = Clock::now();
  }
  void tick(Phase phase) {
    const Clock::time_point now = Clock::now();
    now_[phase] += std::chrono::duration<float, std::micro>(now - last_).count();
    last_ = now;
  }
  void stop() {
    for (int i = 0; i < kPhases; ++i) us_[i].push_back(now_[i]);
  }
  double median(int phase) {
    std::vector<float>& of_phase = us_[phase];
    std::nth_element(of_phase.begin(), of_phase.begin() + static_cast<Index>(of_phase.size() / 2), of_phase.end());
    return static_cast<double>(of_phase[of_phase.size() / 2]);
  }
  std::size_t steps() const { return us_[0].size(); }

 private:
  std::vector<float> us_[kPhases];
  float now_[kPhases] = {};
  Clock::time_point last_;
};

struct Job {
  std::vector<Index> sizes;
  Activation activation;
  Loss loss;
  Index batch, rows;
  OptimizerSettings optimizer;
  int threads;
  double seconds, peak;
};

// Multiply-add operations of one member in a step, by phase.
std::vector<double> member_flops(const Network<float>& network, Index batch, const Member& me) {
  const Index p0 = me.begin(panels(batch)), p1 = me.end(panels(batch));
  const double lanes = static_cast<double>(std::max<Index>(0, std::min(batch, p1 * kLanes) - p0 * kLanes));
  std::vector<double> flops(kPhases, 0.0);
  for (Index l = 0; l < network.depth(); ++l) {
    const Index fan_in = network.layer(l).fan_in, tiles = (fan_in + network.kernels().mr - 1) / network.kernels().mr;
    const double products = 2.0 * static_cast<double>(fan_in) * static_cast<double>(network.layer(l).fan_out);
    flops[kForward] += products * lanes;
    if (l > 0) flops[kDelta] += products * lanes;
    flops[kDw] += products * static_cast<double>(batch) * static_cast<double>(me.end(tiles) - me.begin(tiles)) /
                  static_cast<double>(tiles);
  }
  return flops;
}

// One epoch as Trainer<T>::epoch runs it, without what is rare in it (divergence, interruption, the snapshot, batches that
// are split by units).
void timed_epoch(const Network<float>& network, const Workspace<float>& work, const Optimizer<float>& optimizer, const Job& job,
                 const Rows& x, const Targets& y, const std::uint32_t* order, const Member& me, Interrupt& interrupt,
                 Stopwatch& watch) {
  Watch interrupts(interrupt, me);
  const Kernels<float>& kernels = network.kernels();
  for (Index start = 0; start < job.rows; start += job.batch) {
    const Index m = std::min(job.batch, job.rows - start), p0 = me.begin(panels(m)), p1 = me.end(panels(m));
    const Selection selection{order, start};
    watch.start();
    const bool first_split = splits_first_layer(network, work, m, me.size, 0);
    load_inputs(work, x, selection, p0, p1, m);
    if (first_split) me.wait();
    watch.tick(kGather);
    if (first_split) {
      forward_pass_first_split(network, work, p0, p1, m, me, interrupts);
    } else {
      forward_pass(network, work, p0, p1, m, interrupts);
    }
    watch.tick(kForward);
    load_targets(work, y, selection, p0, p1, m);
    loss_pass(network, work, y, p0, p1, m, static_cast<double>(m), true);
    watch.tick(kLoss);
    if (work.few()) {  // transposes on the way
      backward_pass(network, work, p0, p1, m, interrupts);
      watch.tick(kDelta);
    }
    // else backward_pass, taken apart
    for (Index l = network.depth(); !work.few() && p0 < p1 && l >= 1; --l) {
      const Part part{p0, p1};
      transpose_delta<float>(kernels, network.size_of(l), work.delta_t(l), work.delta(l), part, m);
      watch.tick(kTranspose);
      if (l == 1) break;
      dense_delta<float>(kernels, network.layer(l - 1), work.delta(l - 1), work.delta(l), work.a(l - 1),
                         network.layer(l - 2).activation, part, m, interrupts);
      watch.tick(kDelta);
    }
    me.wait();
    watch.tick(kWaitBackward);
    batch_score(work, m);
    dw_pass(network, work, optimizer.destination(), m, me, first_split);
    watch.tick(kDw);
    me.wait();
    watch.tick(kWaitDw);
    if (m == job.batch) watch.stop();  // a last, smaller batch is another kind of step
  }
}

void profile(const Job& job) {
  const std::size_t depth = job.sizes.size() - 1;
  std::vector<Activation> activations(depth, job.activation);
  activations.back() = Activation::identity;
  Network<float> network(job.sizes, activations, job.loss);
  for (Index l = 0; l < network.depth(); ++l) {
    const double fan_in = static_cast<double>(network.layer(l).fan_in);
    fill_weights(network, l, Distribution::normal, std::sqrt(2 / fan_in), 1);
  }

  std::vector<float> inputs(static_cast<std::size_t>(job.rows * network.inputs()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = static_cast<float>(2 * uniform(2, Stream::weights, 0, i) - 1);
  }
  const Index stride = static_cast<Index>(sizeof(float));
  const Rows x{inputs.data(), job.rows, network.inputs(), network.inputs() * stride, Source::float32};
  std::vector<std::int32_t> labels(static_cast<std::size_t>(job.rows));
  std::vector<float> answers;
  Targets y;
  if (job.loss == Loss::cross_entropy) {
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = static_cast<std::int32_t>(i % static_cast<std::size_t>(network.outputs()));
    y.labels = labels.data();
  } else {
    answers.assign(static_cast<std::size_t>(job.rows * network.outputs()), 0.5f);
    y.rows = {answers.data(), job.rows, network.outputs(), network.outputs() * stride, Source::float32};
  }

  const Workspace<float> work(network, job.batch, Keep::training);
  Optimizer<float> optimizer(network);
  optimizer.configure(job.optimizer);
  optimizer.prepare();
  optimizer.begin_step(job.optimizer.lr);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(job.rows));
  permutation(0, 1, static_cast<std::uint32_t>(job.rows), order.data());

  // the team that the trainer takes
  const double step_flops = network.flops_per_row() * static_cast<double>(job.batch);
  const int size = team_size(step_flops, std::max(panels(job.batch), network.inputs() / kLanes), job.threads, 0);
  constexpr std::size_t most_steps = 1u << 20;
  std::vector<Stopwatch> watches(static_cast<std::size_t>(size), Stopwatch(1024));
  std::vector<std::vector<double>> flops(static_cast<std::size_t>(size));
  Trainer<float> trainer(network);
  EpochArgs<float> args;
  args.x = x;
  args.y = y;
  args.batch = job.batch;
  args.shuffle = true;
  args.snapshot = false;
  args.n_threads = job.threads;
  args.x.rows = std::min(job.rows, 50 * job.batch);  // short epochs, the fastest of which no neighbour has disturbed
  double whole = 1e300;
  int team = 1;
  trainer.epoch(args, optimizer);  // warms up
  const Clock::time_point begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  do {
    Interrupt interrupt(Poll{});
    team = run_team(size, [&](const Member& me) {
      const auto id = static_cast<std::size_t>(me.id);
      flops[id] = member_flops(network, job.batch, me);
      timed_epoch(network, work, optimizer, job, x, y, order.data(), me, interrupt, watches[id]);
    });
    for (Index rows = 0; rows < job.rows; rows += args.x.rows) {
      ++args.epoch;
      const double before = elapsed();
      const EpochResult result = trainer.epoch(args, optimizer);
      whole = std::min(whole, 1e6 * (elapsed() - before) / static_cast<double>(std::max<Index>(1, result.steps)));
    }
  } while (elapsed() < job.seconds && watches[0].steps() < most_steps);

  std::printf("%s kernels, %d of %d threads, medians of %zu steps\n\n%-16s", active_table().isa, team, job.threads,
              watches[0].steps(), "us a step");
  for (int id = 0; id < team; ++id) std::printf("%11s %d  %% of peak", "member", id);
  std::printf("%14s\n", "% of step");
  double step = 0;
  for (int phase = 0; phase < kPhases; ++phase) step += watches[0].median(phase);
  for (int phase = 0; phase < kPhases; ++phase) {
    std::printf("%-16s", kNames[phase]);
    for (int id = 0; id < team; ++id) {
      const auto i = static_cast<std::size_t>(id);
      const double us = watches[i].median(phase), work_done = flops[i][static_cast<std::size_t>(phase)];
      std::printf("%13.3f", us);
      if (work_done > 0 && us > 0 && job.peak > 0) {
        std::printf("%9.1f %%", 100 * work_done / us / 1e3 / job.peak);
      } else {
        std::printf("%11s", "");
      }
    }
    std::printf("%12.1f %%\n", 100 * watches[0].median(phase) / step);
  }
  std::printf("%-16s%13.3f\n", "sum", step);
  std::printf("%-16s%13.3f  in the fastest of many short epochs", "without a clock", whole);
  double all = 0;
  for (int id = 0; id < team; ++id) {
    const std::vector<double>& mine = flops[static_cast<std::size_t>(id)];
    all += std::accumulate(mine.begin(), mine.end(), 0.0);
  }
  if (job.peak > 0) std::printf(", %.1f %% of the peak of %d", 100 * all / whole / 1e3 / (job.peak * team), team);
  std::printf("\n");
}

template <std::size_t N>
int index_of(const char* name, const char* const (&names)[N]) {
  for (std::size_t i = 0; i < N; ++i) {
    if (std::strcmp(name, names[i]) == 0) return static_cast<int>(i);
  }
  throw std::invalid_argument(std::string("unknown name: ") + name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 10) {
    std::fprintf(stderr, "usage: %s SIZES ACTIVATION LOSS BATCH ROWS MOMENTUM THREADS SECONDS PEAK\n", argv[0]);
    return 2;
  }
  constexpr const char* activations[] = {"identity", "relu", "leaky_relu", "tanh", "sigmoid"};
  constexpr const char* losses[] = {"mse", "quadratic", "cross_entropy"};
  try {
    Job job{};
    for (const char* p = argv[1]; *p;) {
      char* end = nullptr;
      job.sizes.push_back(std::strtol(p, &end, 10));
      p = *end == ',' ? end + 1 : end + std::strlen(end);
    }
    job.activation = static_cast<Activation>(index_of(argv[2], activations));
    job.loss = static_cast<Loss>(index_of(argv[3], losses));
    job.batch = std::atol(argv[4]);
    job.rows = std::max<Index>(std::atol(argv[5]), job.batch);
    job.optimizer.lr = 1e-6;  // it must not diverge, whatever it is asked
    job.optimizer.momentum = std::atof(argv[6]);
    job.threads = std::atoi(argv[7]);
    job.seconds = std::atof(argv[8]);
    job.peak = std::atof(argv[9]);
    if (job.batch < 1) throw std::invalid_argument("a batch has at least one row");
    profile(job);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "retrograd_profile: %s\n", error.what());
    return 1;
  }
}
