// Where the time of a training step goes: the trainer's own steps on a team of threads, with a clock that is told the end of
// each phase.
//
//   retrograd_profile SIZES ACTIVATION LOSS BATCH ROWS MOMENTUM THREADS SECONDS PEAK
//
// SIZES: 64,128,10. PEAK: GFLOP/s of one thread, or 0 for no shares. Prints a table: for each phase and member of the team
// the median over steps in microseconds, and the share of one thread's peak where the phase multiplies. A small network's
// passes are one function, whose time is in `forward`. The clock costs some 20 ns a phase; the last line tells what the same
// step takes without it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>

#include "base/random.h"
#include "kernels/dispatch.h"
#include "training/trainer.h"

namespace {

using namespace retrograd;

constexpr const char* kNames[kPhases] = {"gather", "forward",        "loss",        "transpose",
                                         "delta",  "wait for delta", "dw + update", "wait for dw"};

using Clock = std::chrono::steady_clock;

// Times one member's phases; each tick books the time since the last one, and the last phase ends the step.
class Stopwatch {
 public:
  explicit Stopwatch(std::size_t steps) {
    for (std::vector<float>& of_phase : us_) of_phase.reserve(steps);
  }
  PhaseClock clock() {
    return {[](void* self, Phase phase) { static_cast<Stopwatch*>(self)->tick(phase); }, this};
  }
  void start() {
    std::fill(now_, now_ + kPhases, 0.0f);
    last_ = Clock::now();
  }
  double median(int phase) {
    std::vector<float>& of_phase = us_[phase];
    std::nth_element(of_phase.begin(), of_phase.begin() + static_cast<Index>(of_phase.size() / 2), of_phase.end());
    return static_cast<double>(of_phase[of_phase.size() / 2]);
  }
  std::size_t steps() const { return us_[0].size(); }

 private:
  void tick(Phase phase) {
    const Clock::time_point now = Clock::now();
    now_[static_cast<int>(phase)] += std::chrono::duration<float, std::micro>(now - last_).count();
    last_ = now;
    if (phase != Phase::wait_for_gradients) return;
    for (int i = 0; i < kPhases; ++i) us_[i].push_back(now_[i]);
    std::fill(now_, now_ + kPhases, 0.0f);
  }

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
std::vector<double> member_flops(const Network<float>& network, Index batch, const Share& me) {
  const Index p0 = me.begin(panels(batch)), p1 = me.end(panels(batch));
  const double lanes = static_cast<double>(std::max<Index>(0, std::min(batch, p1 * kLanes) - p0 * kLanes));
  std::vector<double> flops(kPhases, 0.0);
  const auto of = [&flops](Phase phase) -> double& { return flops[static_cast<std::size_t>(phase)]; };
  for (Index l = 0; l < network.depth(); ++l) {
    const Index fan_in = network.layer(l).fan_in, tiles = (fan_in + network.kernels().mr - 1) / network.kernels().mr;
    const double products = 2.0 * static_cast<double>(fan_in) * static_cast<double>(network.layer(l).fan_out);
    of(Phase::forward) += products * lanes;
    if (l > 0) of(Phase::delta) += products * lanes;
    of(Phase::gradients) += products * static_cast<double>(batch) * static_cast<double>(me.end(tiles) - me.begin(tiles)) /
                            static_cast<double>(tiles);
  }
  return flops;
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
  if (network.picks_one()) {
    for (std::size_t i = 0; i < labels.size(); ++i)
      labels[i] = static_cast<std::int32_t>(i % static_cast<std::size_t>(network.outputs()));
    y.labels = labels.data();
  } else {
    answers.assign(static_cast<std::size_t>(job.rows * network.outputs()), 0.5f);
    y.rows = {answers.data(), job.rows, network.outputs(), network.outputs() * stride, Source::float32};
  }

  Optimizer<float> optimizer(network);
  optimizer.configure(job.optimizer);
  Trainer<float> trainer(network);
  EpochArgs<float> args;
  args.x = x;
  args.y = y;
  args.batch = job.batch;
  args.shuffle = true;
  args.snapshot = false;
  args.threads.wish = job.threads;
  args.x.rows = job.rows / job.batch * job.batch;  // a last, smaller batch is another kind of step
  if (args.x.rows > 50 * job.batch)
    args.x.rows = 50 * job.batch;                        // short epochs, the fastest of which no neighbour has disturbed
  const int team = trainer.epoch(args, optimizer).team;  // warms up
  constexpr std::size_t most_steps = 1u << 20;
  std::vector<Stopwatch> watches(static_cast<std::size_t>(team), Stopwatch(1024));
  std::vector<PhaseClock> clocks;
  std::vector<std::vector<double>> flops;
  for (int id = 0; id < team; ++id) {
    clocks.push_back(watches[static_cast<std::size_t>(id)].clock());
    flops.push_back(member_flops(network, job.batch, Share{id, team}));
  }
  double whole = 1e300;
  const Clock::time_point begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  do {
    ++args.epoch;
    args.clocks = clocks.data();
    for (Stopwatch& watch : watches) watch.start();
    trainer.epoch(args, optimizer);
    ++args.epoch;
    args.clocks = nullptr;
    const double before = elapsed();
    const EpochResult result = trainer.epoch(args, optimizer);
    whole = std::min(whole, 1e6 * (elapsed() - before) / static_cast<double>(std::max<Index>(1, result.steps)));
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

template <class Facts, std::size_t N>
auto kind_of(const char* name, const Facts (&table)[N]) {
  for (const Facts& facts : table) {
    if (std::strcmp(name, facts.name) == 0) return facts.kind;
  }
  throw std::invalid_argument(std::string("unknown name: ") + name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 10) {
    std::fprintf(stderr, "usage: %s SIZES ACTIVATION LOSS BATCH ROWS MOMENTUM THREADS SECONDS PEAK\n", argv[0]);
    return 2;
  }
  try {
    Job job{};
    for (const char* p = argv[1]; *p;) {
      char* end = nullptr;
      job.sizes.push_back(std::strtol(p, &end, 10));
      p = *end == ',' ? end + 1 : end + std::strlen(end);
    }
    job.activation = kind_of(argv[2], kActivations);
    job.loss = kind_of(argv[3], kLosses);
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
