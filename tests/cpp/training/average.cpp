// The running average of an epoch's steps: that of the weights after each step, taken by hand, to the
// last bit, for any team; what divergence and interruption leave of it; and the blend of two networks.
#include "network/blend.h"
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// Networks whose last batches are small, with running statistics and without.
std::vector<Regularisation> regularisations(const Spec& spec) {
  Regularisation norms{0.1, 0, {}, 77};
  for (std::size_t l = 1; l < spec.sizes.size(); ++l) {
    const bool hidden = l + 1 < spec.sizes.size();
    norms.layers.push_back({hidden ? 0.3 : 0.0, 0.8, hidden ? (l == 1 ? Norm::batch : Norm::layer) : Norm::none});
  }
  return {{}, norms};
}

template <class T>
Network<T> network_of(const Spec& spec, const Regularisation& regularisation) {
  Network<T> network(spec.sizes, spec.activations, spec.loss, parameter_of(spec), regularisation);
  for (Index l = 0; l < network.depth(); ++l) fill_weights(network, l, Distribution::normal, 0.2, kSeed);
  return network;
}

// Parameters, then statistics.
template <class T>
std::vector<T> numbers_of(const Network<T>& network) {
  std::vector<T> all = copy_of(network.parameters());
  for (const T value : copy_of(network.statistics())) all.push_back(value);
  return all;
}

template <class T>
void blend_by_hand(std::vector<T>& a, const std::vector<T>& b, T tau) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = active_table().fused ? std::fma(tau, b[i] - a[i], a[i]) : tau * (b[i] - a[i]) + a[i];
  }
}

constexpr double kTau = 0.3;

const std::vector<Spec> kSpecs = {{{5, 17, 3}, {kRelu, kIdentity}, Loss::mse},
                                  {{21, 96, 40, 6}, {kTanh, kRelu, kIdentity}, Loss::cross_entropy, true},
                                  {{300, 40, 2}, {kLeaky, kIdentity}, Loss::quadratic}};

}  // namespace

TEST_CASE_TEMPLATE("an average over steps is that of the weights after each step, for any team", T, float, double) {
  for (const Spec& spec : kSpecs) {
    for (const Regularisation& regularisation : regularisations(spec)) {
      for (const Index batch : {2, 16, 50}) {
        CAPTURE(spec.describe());
        CAPTURE(batch);
        const Data<T> data(spec, 3 * batch + 2);
        EpochArgs<T> args = arguments(data, batch);

        // By hand: a call for each step, and the average between them. It begins with the second step.
        Network<T> by_hand = network_of<T>(spec, regularisation);
        Optimizer<T> state = make_optimizer(by_hand);
        Trainer<T> trainer(by_hand);
        std::vector<T> expected;
        const Index steps = steps_of(data.rows, batch, false);
        for (args.epoch = 0; args.epoch < 2; ++args.epoch) {
          for (args.first = 0; args.first < steps; ++args.first) {
            args.last = args.first + 1;
            REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
            if (expected.empty()) {
              expected = numbers_of(by_hand);
            } else {
              blend_by_hand(expected, numbers_of(by_hand), static_cast<T>(kTau));
            }
          }
        }
        args.first = 0;
        args.last = -1;
        for (const int team : {1, 2, 3, 7}) {
          CAPTURE(team);
          Network<T> network = network_of<T>(spec, regularisation), average = network_of<T>(spec, regularisation);
          Optimizer<T> other = make_optimizer(network);
          Trainer<T> whole(network);
          args.threads.exactly = team;
          args.average = &average;
          args.tau = kTau;
          const std::uint64_t version = average.version;
          for (args.epoch = 0; args.epoch < 2; ++args.epoch) {
            REQUIRE(whole.epoch(args, other).end == EpochEnd::finished);
            CHECK(average.steps == network.steps);
          }
          CHECK(average.version == version + 2);
          CHECK(same(numbers_of(network), numbers_of(by_hand)));  // which knows nothing of it
          CHECK(same(numbers_of(average), expected));
        }
        args.average = nullptr;
        args.threads.exactly = 0;
      }
    }
  }
}

TEST_CASE_TEMPLATE("an average over steps goes back with the weights", T, float, double) {
  const Spec& spec = kSpecs[0];
  const Regularisation regularisation = regularisations(spec)[1];
  const Data<T> data(spec, 100);
  std::vector<T> bad = data.y;
  bad.back() = infinity<T>();  // in the last batch, after nine steps
  for (const bool has_begun : {false, true}) {
    for (const int team : {1, 3}) {
      CAPTURE(has_begun);
      CAPTURE(team);
      Network<T> network = network_of<T>(spec, regularisation), average = network_of<T>(spec, regularisation);
      Optimizer<T> state = make_optimizer(network);
      Trainer<T> trainer(network);
      EpochArgs<T> args = arguments(data, 10);
      args.shuffle = false;
      args.threads.exactly = team;
      args.average = has_begun ? &average : nullptr;
      args.tau = kTau;
      REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
      args.average = &average;
      const std::vector<T> before = numbers_of(average);
      args.y.rows = Data<T>::view(bad, data.rows, data.outputs);
      for (const bool in_parts : {false, true}) {  // the part that diverges begins within the epoch
        if (in_parts) {
          args.last = 4;
          REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
          CHECK(average.steps == 14);
          CHECK_FALSE(same(numbers_of(average), before));
          args.first = 4;
          args.last = -1;
        }
        REQUIRE(trainer.epoch(args, state).end == EpochEnd::diverged);
        CHECK(average.steps == (has_begun ? 10 : 0));
        CHECK(same(numbers_of(average), before));
      }
      args.snapshot = false;  // then it is that of the finished steps
      args.first = 0;
      const std::uint64_t steps = network.steps;
      REQUIRE(trainer.epoch(args, state).end == EpochEnd::diverged);
      CHECK(average.steps == steps + 9);
      CHECK(network.steps == steps + 9);
    }
  }
}

TEST_CASE_TEMPLATE("an average over steps that is interrupted is that of the finished steps", T, float, double) {
  const Spec spec{{256, 512, 10}, {kRelu, kIdentity}, Loss::mse};
  const Index rows = 200000, batch = 64;  // so many that no machine finishes before it is asked to stop
  const std::vector<T> x(256, T(0.01)), y(10, T(0.5));
  for (const int team : {1, 3}) {
    Network<T> network = make_network<T>(spec), average = make_network<T>(spec), other = make_network<T>(spec),
               other_average = make_network<T>(spec);
    Optimizer<T> state = make_optimizer(network), other_state = make_optimizer(other);
    EpochArgs<T> args;
    args.x = {x.data(), rows, 256, 0, source_kind<T>};
    args.y.rows = {y.data(), rows, 10, 0, source_kind<T>};
    args.batch = batch;
    args.threads.exactly = team;
    args.average = &average;
    args.tau = kTau;
    args.poll.ask = [](void*) { return true; };
    const EpochResult result = Trainer<T>(network).epoch(args, state);
    REQUIRE(result.end == EpochEnd::interrupted);
    args.poll = {};
    args.x.rows = args.y.rows.rows = result.steps * batch;
    args.average = &other_average;
    if (result.steps > 0) REQUIRE(Trainer<T>(other).epoch(args, other_state).steps == result.steps);
    CHECK(average.steps == static_cast<std::uint64_t>(result.steps));
    CHECK(same(numbers_of(average), numbers_of(other_average)));
  }
}

TEST_CASE_TEMPLATE("an average with other arrays is refused before anything happens", T, float, double) {
  const Spec& spec = kSpecs[0];
  Network<T> network = make_network<T>(spec), other = make_network<T>({{5, 18, 3}, {kRelu, kIdentity}, Loss::mse});
  const std::vector<T> before = numbers_of(network), others = numbers_of(other);
  Optimizer<T> state = make_optimizer(network);
  const Data<T> data(spec, 30);
  EpochArgs<T> args = arguments(data, 10);
  args.average = &other;
  CHECK_THROWS_AS(Trainer<T>(network).epoch(args, state), std::invalid_argument);
  CHECK(same(numbers_of(network), before));
  CHECK(same(numbers_of(other), others));
}

TEST_CASE_TEMPLATE("blend: any share, for any team; 1 is a copy", T, float, double) {
  const Spec& spec = kSpecs[1];
  const Regularisation regularisation = regularisations(spec)[1];
  const Data<T> data(spec, 40);
  Network<T> from = network_of<T>(spec, regularisation);
  Optimizer<T> state = make_optimizer(from);
  REQUIRE(Trainer<T>(from).epoch(arguments(data, 8), state).end == EpochEnd::finished);
  for (const double tau : {0.0, 0.005, 0.5, 1.0}) {
    std::vector<T> expected = numbers_of(network_of<T>(spec, regularisation));
    blend_by_hand(expected, numbers_of(from), static_cast<T>(tau));
    if (tau == 1) expected = numbers_of(from);
    for (const int team : {1, 2, 5}) {
      const Network<T> into = network_of<T>(spec, regularisation);
      Team all(team);
      all.each([&](const Share& me, int) { blend(into, from, tau, me); });
      CHECK(same(numbers_of(into), expected));
    }
  }
}
