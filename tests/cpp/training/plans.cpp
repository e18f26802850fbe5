// Plans in training: none changes a bit, also where another one is taken at every step; one that becomes slow is left
// within 50 steps and taken again when it has recovered. The lists of plans are tested in network/plan.cpp, the policy,
// with a simulated clock, in machine/choice.cpp.
#include <array>
#include <chrono>
#include <optional>

#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

struct Case {
  Spec spec;
  Index batch, rows;
};

// Between them they have plans of every kind: the narrow way, small networks, few rows, the first layer by rows, chunks, and,
// with teams, every split.
std::vector<Case> cases() {
  const Spec wide{{100, 70, 40, 3}, {kTanh, Activation::gelu, kIdentity}, Loss::mse};
  return {{{{4, 32, 16, 4}, {kTanh, kTanh, kIdentity}, Loss::mse}, 7, 60},
          {{{24, 48, 20, 3}, {kRelu, Activation::silu, kIdentity}, Loss::cross_entropy, true}, 100, 330},
          {{{24, 48, 20, 3}, {kRelu, kSigmoid, kSoftmax}, Loss::mse}, 500, 1100},
          {wide, 3, 20},
          {wide, 40, 130},
          {wide, 1700, 1900},
          {{{300, 128, 64, 5}, {kRelu, kRelu, kIdentity}, Loss::cross_entropy, true}, 64, 200}};
}

template <class T>
struct Job {
  Network<T> network;
  Trainer<T> trainer;
  Optimizer<T> state;

  Job(const Spec& spec, const OptimizerSettings& settings)
      : network(make_network<T>(spec)), trainer(network), state(make_optimizer(network, settings)) {}

  Trained<T> epochs(EpochArgs<T> args, std::uint32_t count = 2) {
    Trained<T> result;
    for (args.epoch = 0; args.epoch < count; ++args.epoch) {
      const EpochResult epoch = trainer.epoch(args, state);
      REQUIRE(epoch.end == EpochEnd::finished);
      result.loss += epoch.score.loss;
      result.metric += epoch.score.metric;
    }
    result.parameters = copy_of(network.parameters());
    result.velocity = copy_of(state.state());
    return result;
  }
};

std::vector<OptimizerSettings> kinds() {
  OptimizerSettings clipped = settings_of(Rule::adam);
  clipped.clip_norm = 0.1;
  return {sgd(0.05, 0.9, 0), settings_of(Rule::adam), clipped};
}

void hold_up(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

TEST_CASE_TEMPLATE("every plan gives the same bits, and so does another one at every step", T, float, double) {
  for (const Case& c : cases()) {
    const Data<T> data(c.spec, c.rows);
    for (const OptimizerSettings& settings : kinds()) {
      std::optional<Trained<T>> first;
      for (const int team : {1, 2, 3}) {
        EpochArgs<T> args = arguments(data, c.batch);
        args.threads.exactly = team;
        Index plans = 1;
        for (Index number = 0; number < plans; ++number) {
          CAPTURE(c.spec.describe());
          CAPTURE(c.batch);
          CAPTURE(team);
          CAPTURE(number);
          args.planning = {Planning::Mode::fixed, number};
          Job<T> job(c.spec, settings);
          const Trained<T> result = job.epochs(args);
          if (!first) first = result;
          CHECK(result == *first);
          plans = static_cast<Index>(job.trainer.planned().plans().size());
        }
        args.planning = {Planning::Mode::random, 0, static_cast<std::uint64_t>(team)};
        Job<T> job(c.spec, settings);
        CHECK(job.epochs(args) == *first);
      }
    }
  }
}

TEST_CASE("these cases have plans of every kind") {
  bool narrow = false, small = false, few = false, first_rows = false, chunk = false, units = false, first_layer = false;
  for (const Case& c : cases()) {
    for (const int team : {1, 2, 3}) {
      const Network<float> network = make_network<float>(c.spec);
      Limits limits = limits_of(network.kernels(), team);
      limits.exactly = true;
      for (const Plan& plan : candidates(network.shape(), c.batch, Source::float32, limits)) {
        narrow = narrow || plan.way.narrow;
        small = small || plan.way.small;
        few = few || plan.way.few_rows;
        first_rows = first_rows || (plan.way.first_rows && !plan.way.few_rows);
        chunk = chunk || (plan.chunk > 0 && !plan.way.narrow);
        units = units || plan.split == Split::units;
        first_layer = first_layer || plan.split == Split::first_layer;
      }
    }
  }
  CHECK((narrow && small && few && first_rows && chunk && units && first_layer));
}

TEST_CASE("a plan that becomes slow is left within 50 steps, and taken again when it has recovered") {
  if (!plans_are_measured() || kSlow) return;  // where a step takes a millisecond, the waits below are small beside it
  const Spec spec{{300, 60, 3}, {kRelu, kIdentity}, Loss::mse};
  constexpr Index batch = 32;
  const Data<float> data(spec, 10 * batch);
  EpochArgs<float> args = arguments(data, batch);
  args.threads.wish = 1;
  std::array<std::chrono::microseconds, kMostCandidates> waits{};
  args.planning.before_step = [](void* all, Index candidate) {
    hold_up(static_cast<std::chrono::microseconds*>(all)[candidate]);
  };
  args.planning.context = waits.data();
  Index count = 2;
  for (Index best = 0; best < count; ++best) {
    CAPTURE(best);
    // What else runs on the machine may make all plans slow at the same moment, so there are three attempts.
    bool left = false, recovered = false;
    for (int attempt = 0; attempt < 3 && !(left && recovered); ++attempt) {
      plans_forget();
      Job<float> job(spec, sgd());
      const Planned<float>& planned = job.trainer.planned();
      const auto wait_for = [&](bool in_use, Index steps) {  // the steps until it is in use, or no more
        Index taken = 0;
        for (; taken == 0 || (taken < steps && (planned.current() == best) != in_use); taken += 10, ++args.epoch) {
          REQUIRE(job.trainer.epoch(args, job.state).end == EpochEnd::finished);
        }
        return taken;
      };
      waits.fill(std::chrono::microseconds(100));
      waits[static_cast<std::size_t>(best)] = {};
      wait_for(false, 60);  // turns
      if (wait_for(true, 50000) >= 50000) continue;
      count = static_cast<Index>(planned.plans().size());
      REQUIRE(count >= 2);
      waits[static_cast<std::size_t>(best)] = std::chrono::microseconds(600);
      left = wait_for(false, 200) <= 50;
      if (!left) continue;
      waits[static_cast<std::size_t>(best)] = {};
      recovered = wait_for(true, 50000) < 50000;
    }
    CHECK(left);
    CHECK(recovered);
  }
}
