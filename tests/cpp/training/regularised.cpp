// Whole networks with dropout, noise, normalisation and limits on norms: any team and the stages by
// hand give the same bits, what divergence leaves behind, and what is refused. Their kernels are tested
// in kernels/noise.cpp and kernels/norms.cpp.
#include "base/random.h"
#include "network/stages.h"
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

Spec regular_spec(int which) {
  const Spec all[] = {{{21, 96, 40, 6}, {kTanh, kRelu, kIdentity}, Loss::cross_entropy, true},
                      {{5, 17, 3}, {kRelu, kIdentity}, Loss::mse},
                      {{300, 33, 50, 2}, {kLeaky, kSigmoid, kIdentity}, Loss::quadratic}};
  return all[which];
}

// A network with everything at once; `norms` are given to the hidden layers in turn.
Regularisation all_of(const Spec& spec, std::vector<Norm> norms = {Norm::none}) {
  Regularisation r{0.1, 0.2, {}, 77};
  for (std::size_t l = 1; l < spec.sizes.size(); ++l) {
    const bool hidden = l + 1 < spec.sizes.size();
    r.layers.push_back({hidden ? 0.3 : 0.0, 0.8, hidden ? norms[(l - 1) % norms.size()] : Norm::none});
  }
  return r;
}

const std::vector<std::vector<Norm>> kNormsOfLayers = {
    {Norm::none}, {Norm::layer}, {Norm::batch}, {Norm::layer, Norm::batch}, {Norm::batch, Norm::layer}};

template <class T>
Network<T> regular_network(const Spec& spec, Regularisation regularisation) {
  const Network<T> plain = make_network<T>(spec);
  Network<T> network(spec.sizes, spec.activations, spec.loss, parameter_of(spec), std::move(regularisation));
  for (Index l = 0; l < network.depth(); ++l) {
    const DenseLayer<T>&from = plain.layer(l), &to = network.layer(l);
    std::copy_n(from.w.data, from.b - from.w.data + panels(from.fan_out) * kLanes, to.w.data);
  }
  return network;
}

template <class T>
Trained<T> two_epochs(const Spec& spec, const std::vector<Norm>& norms, EpochArgs<T> args, int exactly) {
  Network<T> network = regular_network<T>(spec, all_of(spec, norms));
  Optimizer<T> state = make_optimizer(network);
  Trainer<T> trainer(network);
  Trained<T> result;
  args.threads.exactly = exactly;
  for (args.epoch = 0; args.epoch < 2; ++args.epoch) {
    const EpochResult epoch = trainer.epoch(args, state);
    REQUIRE(epoch.end == EpochEnd::finished);
    result.loss += epoch.score.loss;
    result.metric += epoch.score.metric;
  }
  CHECK(network.steps == static_cast<std::uint64_t>(2 * ((args.x.rows + args.batch - 1) / args.batch)));
  result.parameters = copy_of(network.parameters());
  result.velocity = copy_of(state.state());
  for (const T value : copy_of(network.statistics())) result.velocity.push_back(value);
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("regularised training: any team, and the stages by hand, give the same bits", T, float, double) {
  for (std::size_t turn = 0; turn < 3 * kNormsOfLayers.size(); ++turn) {
    const Spec spec = regular_spec(static_cast<int>(turn % 3));
    const std::vector<Norm>& norms = kNormsOfLayers[turn % kNormsOfLayers.size()];
    for (const Index batch : {1, 4, 16, 33, 64, 200}) {
      if (batch == 1 && turn % kNormsOfLayers.size() > 1) continue;  // a single row has no variance
      CAPTURE(spec.describe());
      CAPTURE(turn);
      CAPTURE(batch);
      const Data<T> data(spec, 2 * batch + batch / 2 + 2);
      const EpochArgs<T> args = arguments(data, batch);
      const Trained<T> one = two_epochs(spec, norms, args, 1);
      for (const int team : {2, 3, 4}) CHECK(two_epochs(spec, norms, args, team) == one);

      Network<T> network = regular_network<T>(spec, all_of(spec, norms));
      Stages<T> stages(network);
      Optimizer<T> state = make_optimizer(network);
      StoredGradients<T> stored;
      for (std::uint32_t epoch = 0; epoch < 2; ++epoch) {
        std::vector<std::uint32_t> order(static_cast<std::size_t>(data.rows));
        permutation(args.seed, epoch, static_cast<std::uint32_t>(data.rows), order.data());
        for (Index start = 0; start < data.rows; start += batch) {
          const Data<T> part = data.batch(order, start, std::min(batch, data.rows - start));
          double loss = 0;
          REQUIRE(stages.forward(part.inputs_view(), {0, 2}, {}, true));
          REQUIRE(stages.backward(part.targets(), loss, {0, 2}, {}));
          apply_update(network, stages.work().gradients(), state, stored, {});
        }
      }
      CHECK(same(copy_of(network.parameters()), one.parameters));
      const std::vector<T> statistics = copy_of(network.statistics());
      CHECK(std::equal(statistics.rbegin(), statistics.rend(), one.velocity.rbegin(), same<T>));
    }
  }
}

TEST_CASE_TEMPLATE("no regularisation asked for: the passes of training are those without", T, float, double) {
  const Spec spec = regular_spec(0);
  Regularisation none;
  none.layers.resize(spec.activations.size());
  none.seed = 5;
  const Data<T> data(spec, 100);
  Network<T> network = regular_network<T>(spec, none);
  CHECK_FALSE(network.perturbs());
  CHECK_FALSE(network.limits_norms());
  Optimizer<T> state = make_optimizer(network);
  EpochArgs<T> args = arguments(data, 32);
  Trainer<T> trainer(network);
  for (args.epoch = 0; args.epoch < 2; ++args.epoch) trainer.epoch(args, state);
  CHECK(same(copy_of(network.parameters()), trained(spec, arguments(data, 32), 1).parameters));
}

TEST_CASE_TEMPLATE("regularised training that diverges goes back to the start of the epoch, its steps too", T, float, double) {
  const Spec spec = regular_spec(1);
  const Data<T> data(spec, 100);
  Network<T> network = regular_network<T>(spec, all_of(spec, {Norm::batch}));
  Optimizer<T> state = make_optimizer(network);
  Trainer<T> trainer(network);
  EpochArgs<T> args = arguments(data, 10);
  REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
  const std::vector<T> before = copy_of(network.parameters()), statistics = copy_of(network.statistics());
  CHECK(network.steps == 10);
  std::vector<T> bad = data.y;
  bad.back() = infinity<T>();  // in the last batch, after nine steps
  args.shuffle = false;
  args.y.rows = Data<T>::view(bad, data.rows, data.outputs);
  for (const bool in_parts : {false, true}) {  // the part that diverges begins within the epoch
    CAPTURE(in_parts);
    if (in_parts) {
      args.last = 4;
      REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
      CHECK(network.steps == 14);
      args.first = 4;
      args.last = -1;
    }
    REQUIRE(trainer.epoch(args, state).end == EpochEnd::diverged);
    CHECK(network.steps == 10);
    CHECK(same(copy_of(network.parameters()), before));
    CHECK(same(copy_of(network.statistics()), statistics));
  }
}

TEST_CASE_TEMPLATE("batch normalisation: a batch of one row is refused before anything happens", T, float, double) {
  const Spec spec = regular_spec(1);
  Network<T> network = regular_network<T>(spec, all_of(spec, {Norm::batch}));
  Optimizer<T> state = make_optimizer(network);
  const std::vector<T> before = copy_of(network.parameters()), statistics = copy_of(network.statistics());
  for (const Index batch : {1, 5}) {
    const Data<T> data(spec, 11);
    CHECK_THROWS_AS(Trainer<T>(network).epoch(arguments(data, batch), state), std::invalid_argument);
  }
  const Data<T> one(spec, 1);
  Stages<T> stages(network);
  CHECK_THROWS_AS(stages.forward(one.inputs_view(), {}, {}, true), std::invalid_argument);
  CHECK(stages.forward(one.inputs_view(), {}, {}));
  CHECK(same(copy_of(network.parameters()), before));
  CHECK(same(copy_of(network.statistics()), statistics));
}

TEST_CASE_TEMPLATE("frozen weights are left alone by the limit on norms", T, float, double) {
  const Spec spec = regular_spec(1);
  Network<T> network = regular_network<T>(spec, all_of(spec));
  Optimizer<T> state(network);
  state.configure(sgd(), {{1, 0, 0, true}, {}, {}, {}});
  const std::vector<T> before = unpacked_lanes(network.layer(0).w, 5, 17);
  const Data<T> data(spec, 20);
  REQUIRE(Trainer<T>(network).epoch(arguments(data, 10), state).end == EpochEnd::finished);
  CHECK(same(unpacked_lanes(network.layer(0).w, 5, 17), before));
}
