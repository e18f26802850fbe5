// A thousand steps and more: the same bits for teams of 1 to 64 threads, inside other parallel
// regions, with teams that OpenMP makes smaller, by every kernel table and by scalar fma; and
// calls from many threads at once.
#include <omp.h>

#include <thread>

#include "network/stages.h"
#include "support/networks.h"
#include "support/tables.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// Under a sanitizer or an emulator there are a tenth of them.
constexpr Index kSteps = kSlow ? 100 : 1000;

// A training of at least kSteps steps, and how its batches are split among a team.
struct Run {
  Spec spec;
  Index batch;
};

// Batches by row pointers with lanes = units, of one panel, and of several (equal for some teams;
// otherwise units are split).
std::vector<Run> runs() {
  return {{{{9, 35, 20, 3}, {kRelu, kTanh, kSoftmax}, Loss::cross_entropy, true}, 4},
          {{{11, 18, 5}, {kSigmoid, kIdentity}, Loss::mse}, 13},
          {{{20, 33, 6}, {kLeaky, kIdentity}, Loss::binary_cross_entropy}, 48},
          {{{7, 19, 4}, {kTanh, kIdentity}, Loss::quadratic}, 170}};
}

// The team that the OpenMP runtime gives where `team` threads are asked for.
int granted(int team) { return std::min(team, omp_get_thread_limit()); }

// Trains several epochs with an odd last batch, and predicts with the same team. Every epoch must have
// run on `team` threads (0: on whatever it was given).
template <class T>
Trained<T> long_training(const Run& run, int exactly, int team) {
  constexpr Index epochs = 4;
  const Index rows = kSteps / epochs * run.batch + 1;
  const Data<T> data(run.spec, rows);
  Network<T> network = make_network<T>(run.spec);
  Trainer<T> trainer(network);
  Optimizer<T> state = make_optimizer(network, sgd(0.01));
  EpochArgs<T> args = arguments(data, run.batch);
  args.threads.exactly = exactly;
  Trained<T> result;
  Index steps = 0;
  for (args.epoch = 0; args.epoch < epochs; ++args.epoch) {
    const EpochResult epoch = trainer.epoch(args, state);
    REQUIRE(epoch.end == EpochEnd::finished);
    if (team > 0) REQUIRE(epoch.team == team);
    steps += epoch.steps;
    result.loss += epoch.score.loss;
    result.metric += epoch.score.metric;
  }
  REQUIRE(steps >= kSteps);
  result.parameters = copy_of(network.parameters());
  result.velocity = copy_of(state.state());
  std::vector<T> out(static_cast<std::size_t>(rows * data.outputs));
  REQUIRE(predict(network, data.inputs_view(), true, out.data(), {0, exactly}, {}));
  result.parameters.insert(result.parameters.end(), out.begin(), out.end());
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("a thousand steps: the same bits for teams of 1 to 64, whatever the cores", T, float, double) {
  std::vector<int> teams = sizeof(T) == 4 ? std::vector<int>{2, 3, 8, 64} : std::vector<int>{2, 4, 5, 17};
  if (long_tier()) {
    teams.clear();
    for (int team = 2; team <= 64; ++team) {  // large teams of one type only: what a team does knows no type
      if (team <= 16 || team % 2 == (sizeof(T) == 4 ? 0 : 1)) teams.push_back(team);
    }
  }
  const std::vector<Run> all = runs();
  std::vector<Trained<T>> alone;
  for (const Run& run : all) alone.push_back(long_training<T>(run, 1, 1));
  for (const int team : teams) {  // the teams take turns over the runs
    CAPTURE(team);
    const std::size_t i = static_cast<std::size_t>(team + (sizeof(T) == 4 ? 0 : 2)) % all.size();
    CHECK(long_training<T>(all[i], team, granted(team)) == alone[i]);
  }
}

TEST_CASE("inside another parallel region, nested or not, and with dynamic teams: the same bits") {
  const Run run = runs()[2];
  const Trained<float> alone = long_training<float>(run, 1, 1);
  const int levels = omp_get_max_active_levels();
  for (const int nested : {1, 2}) {
    CAPTURE(nested);
    omp_set_max_active_levels(nested);
    bool equal[2] = {true, true};
#pragma omp parallel num_threads(2)
    {
      const int team = nested == 1 ? (omp_get_num_threads() > 1 ? 1 : 0) : 0;
      equal[omp_get_thread_num()] = long_training<float>(run, 3, team) == alone;
    }
    CHECK(equal[0]);
    CHECK(equal[1]);
  }
  omp_set_max_active_levels(levels);
  omp_set_dynamic(1);
  for (const int team : {2, 7}) CHECK(long_training<float>(run, team, 0) == alone);
  omp_set_dynamic(0);
}

// ---------------------------------------------------------------------------------------------- every table

namespace {

// The epoch of trainer.cpp with kernels that the network was not made with, on one thread,
// batch after batch in order.
template <class T>
Trained<T> trained_on(const Kernels<T>& kernels, const Run& run, const EpochArgs<T>& args, Index epochs,
                      const OptimizerSettings& settings) {
  Network<T> network = make_network<T>(run.spec);
  Optimizer<T> state = make_optimizer(network, settings);
  state.prepare();
  const Workspace<T> work(network, args.batch, Purpose::training);
  const Index depth = network.depth(), rows = args.x.rows;
  Interrupt interrupt{Poll{}};
  InterruptWatch watch(interrupt);
  Trained<T> result;
  alignas(64) T loss_rows[kLanes], metric_rows[kLanes];
  for (Index start = 0; start < epochs * rows;) {
    const Index first = start % rows, batch = std::min(args.batch, rows - first), count = panels(batch);
    const Selection selection{nullptr, first};
    const Part part{0, count};
    const T* const* pointers = work.rows();
    if (pointers) {
      point_at_rows(kernels, args.x, selection, 0, batch, work.row_buffer(), work.rows());
    } else {
      gather_panels(kernels, args.x, selection, 0, count, batch, work.a(Level{0}));
    }
    for (Index l = 0; l < depth; ++l) {
      const DenseLayer<T>& layer = network.layer(l);
      if (l == 0 && pointers) {
        dense_forward_rows<T>(kernels, layer, work.a(above(l)), work.z(l), pointers, part, batch, watch);
      } else {
        dense_forward<T>(kernels, layer, work.a(above(l)), work.z(l), work.a(below(l)), part, batch, watch);
      }
    }
    gather_panels(kernels, args.y.rows, selection, 0, count, batch, work.target());
    Score score;
    for (Index p = 0; p < count; ++p) {
      const int lanes = static_cast<int>(std::min(kLanes, batch - p * kLanes));
      kernels.loss({network.loss(), network.layers().back().activation, network.outputs(), lanes, work.a({depth}).panel(p),
                    work.target().panel(p), nullptr, static_cast<T>(1.0 / static_cast<double>(batch)),
                    work.delta(depth - 1).panel(p), loss_rows, metric_rows, network.loss_parameter()});
      Score of_panel;
      for (int i = 0; i < lanes; ++i) {
        of_panel.loss += static_cast<double>(loss_rows[i]);
        of_panel.metric += static_cast<double>(metric_rows[i]);
      }
      score.loss += of_panel.loss;
      score.metric += of_panel.metric;
    }
    result.loss += score.loss;
    result.metric += score.metric;
    for (Index l = depth - 1; l >= 0; --l) {
      transpose_delta<T>(kernels, network.layer(l).fan_out, work.delta_t(l), work.delta(l), part, batch);
      if (l == 0) break;
      const Activation of_below = network.layer(l - 1).activation;
      dense_delta<T>(kernels, network.layer(l), work.delta(l - 1), work.delta(l), work.derived_from(l - 1, of_below), of_below,
                     part, batch, watch);
    }
    state.begin_step(settings.lr);
    for (Index l = depth - 1; l >= 0; --l) {
      const LayerSink<T> sink = network.sink_of(l, state.sink());
      dense_dw<T>(kernels, network.layer(l), sink, work.a(below(l)), l == 0 ? pointers : nullptr, work.delta_t(l), batch,
                  Share{});
    }
    state.end_step();
    start += batch;
  }
  result.parameters = copy_of(network.parameters());
  result.velocity = copy_of(state.state());
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("a thousand steps: the same bits by every table with fused multiply-add and by scalar fma", T, float,
                   double) {
  constexpr Index epochs = 4;
  const std::vector<Run> all = {{{{13, 20, 18, 5}, {kRelu, kTanh, kIdentity}, Loss::mse}, 9},
                                {{{70, 20, 3}, {kSigmoid, kSoftmax}, Loss::cross_entropy}, 21},
                                {{{5, 33, 4}, {kLeaky, kIdentity}, Loss::binary_cross_entropy}, 40},
                                {{{70, 20, 18, 3}, {Activation::gelu, Activation::mish, kIdentity}, Loss::huber}, 21},
                                {{{9, 33, 4}, {Activation::silu, kIdentity}, Loss::focal}, 40}};
  const bool fused = active_table().fused;
  for (const Run& run : all) {
    CAPTURE(run.batch);
    const Data<T> data(run.spec, kSteps / epochs * run.batch - 1);
    EpochArgs<T> args = arguments(data, run.batch);
    args.shuffle = false;
    const OptimizerSettings settings = run.batch == 21 ? settings_of(Rule::adam, 0.01) : sgd(0.01);
    const Trained<T> scalar = trained_on(oracle_of<T>(active_table()), run, args, epochs, settings);
    for (const KernelTable* table : tested_tables()) {
      if (table->fused != fused) continue;
      CAPTURE(std::string(table->isa));
      CHECK(trained_on(kernels_of<T>(*table), run, args, epochs, settings) == scalar);
    }
    Network<T> network = make_network<T>(run.spec);  // the same by the trainer itself
    Trainer<T> trainer(network);
    Optimizer<T> state = make_optimizer(network, settings);
    for (Index epoch = 0; epoch < epochs; ++epoch) REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
    CHECK(same(copy_of(network.parameters()), scalar.parameters));
    CHECK(same(copy_of(state.state()), scalar.velocity));
  }
}

// ---------------------------------------------------------------------------------------------- many callers at once

namespace {

// Runs body(i) on `count` separate threads, started together; returns how many of them returned true.
template <class F>
int at_once(int count, F body) {
  std::atomic<int> ready{0}, right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      for (++ready; ready < count;) std::this_thread::yield();
      if (body(i)) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return right;
}

constexpr int kCallers = kSlow ? 8 : 32;

}  // namespace

TEST_CASE("many threads predict with one network: the bits of one alone, with spare memory and without") {
  const Spec spec{{30, 40, 5}, {kRelu, kIdentity}, Loss::cross_entropy, true};
  const Network<float> network = make_network<float>(spec);
  const Index rows = 70;
  const Data<float> data(spec, rows);
  std::vector<float> whole(static_cast<std::size_t>(rows * 5));
  REQUIRE(predict(network, data.inputs_view(), false, whole.data(), {1}, {}));
  std::vector<std::int64_t> labels(static_cast<std::size_t>(rows));
  REQUIRE(classify(network, data.inputs_view(), labels.data(), {1}, {}));
  SpareWorkspace<float> spare;
  const int rounds = kSlow ? 40 : 1000;
  const int right = at_once(kCallers, [&](int caller) {
    Dice dice(static_cast<std::uint64_t>(caller));
    std::vector<float> out(whole.size());
    std::vector<std::int64_t> found(labels.size());
    for (int round = 0; round < rounds; ++round) {
      Rows part = data.inputs_view();
      const Index first = dice.below(rows);
      part.rows = 1 + dice.below(std::min<Index>(rows - first, round % 2 == 0 ? 4 : rows));
      part.data = part.row(first);
      const int exactly = round % 16 == 0 ? 2 : 1;
      SpareWorkspace<float>* memory = round % 3 == 0 ? nullptr : &spare;
      if (!predict(network, part, false, out.data(), {0, exactly}, {}, memory)) return false;
      if (!std::equal(out.begin(), out.begin() + part.rows * 5, whole.begin() + first * 5)) return false;
      if (!classify(network, part, found.data(), {0, exactly}, {}, memory)) return false;
      if (!std::equal(found.begin(), found.begin() + part.rows, labels.begin() + first)) return false;
    }
    return true;
  });
  CHECK(right == kCallers);
}

TEST_CASE("many threads train networks of their own: the bits of each alone, while others are interrupted") {
  const Spec spec{{20, 33, 6}, {kRelu, kIdentity}, Loss::mse};
  const Data<float> data(spec, 500);
  const Trained<float> alone = trained(spec, arguments(data, 40), 1);
  const int callers = 6, rounds = kSlow ? 2 : 4;
  const int right = at_once(callers, [&](int caller) {
    for (int round = 0; round < rounds; ++round) {
      Network<float> network = make_network<float>(spec);
      Trainer<float> trainer(network);
      Optimizer<float> state = make_optimizer(network);
      Trained<float> mine;
      EpochArgs<float> args = arguments(data, 40);
      args.threads.exactly = 1 + (caller + round) % 2;
      if (caller % 3 == 2) {  // this one is stopped at the first question
        const std::vector<float> zeros(20, 0.5f), answers(6, 0.5f);
        const Index endless = 10000000;
        args.x = {zeros.data(), endless, 20, 0, Source::float32};
        args.y.rows = {answers.data(), endless, 6, 0, Source::float32};
        args.shuffle = false;
        args.poll.ask = [](void*) { return true; };
        if (trainer.epoch(args, state).end != EpochEnd::interrupted) return false;
        continue;
      }
      for (args.epoch = 0; args.epoch < 2; ++args.epoch) {
        const EpochResult epoch = trainer.epoch(args, state);
        if (epoch.end != EpochEnd::finished) return false;
        mine.loss += epoch.score.loss;
        mine.metric += epoch.score.metric;
      }
      mine.parameters = copy_of(network.parameters());
      mine.velocity = copy_of(state.state());
      if (!(mine == alone)) return false;
    }
    return true;
  });
  CHECK(right == callers);
}
