// The last, smaller batch of an epoch left out: the steps that are taken have the bits that they have with it.
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE_TEMPLATE("drop_last: the bits of the epoch without its last step, for any team", T, float, double) {
  std::size_t turn = 0;
  for (const Spec& spec : specs()) {
    for (const Index batch : {1, 4, 16, 40}) {
      const Index rows = 3 * batch + batch / 2;
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Data<T> data(spec, rows);
      Network<T> whole = make_network<T>(spec), dropped = make_network<T>(spec);
      Optimizer<T> whole_state = make_optimizer(whole), dropped_state = make_optimizer(dropped);
      Trainer<T> one(whole), other(dropped);
      EpochArgs<T> args = arguments(data, batch);
      args.threads.exactly = kTeams[turn++ % std::size(kTeams)];
      for (args.epoch = 0; args.epoch < 2; ++args.epoch) {
        args.last = 3;
        args.drop_last = false;
        const EpochResult expected = one.epoch(args, whole_state);
        args.last = -1;
        args.drop_last = true;
        const EpochResult found = other.epoch(args, dropped_state);
        CHECK(found.end == EpochEnd::finished);
        CHECK(found.steps == 3);
        CHECK(found.steps == steps_of(rows, batch, true));
        CHECK(found.score.weight == static_cast<double>(3 * batch));
        CHECK(same(found.score.loss, expected.score.loss));
        CHECK(other.progress().rows == 3 * batch);
      }
      CHECK(same(copy_of(whole.parameters()), copy_of(dropped.parameters())));
      CHECK(same(copy_of(whole_state.state()), copy_of(dropped_state.state())));
    }
  }
}

TEST_CASE("drop_last: the number of steps") {
  CHECK(steps_of(10, 5, true) == 2);
  CHECK(steps_of(11, 5, true) == 2);
  CHECK(steps_of(11, 5, false) == 3);
  CHECK(steps_of(10, 5, false) == 2);
  CHECK(steps_of(4, 5, true) == 0);
  CHECK(steps_of(4, 5, false) == 1);
  CHECK(steps_of(0, 5, false) == 0);
}

TEST_CASE_TEMPLATE("drop_last: fewer rows than a batch are refused; batch normalisation takes what has whole batches", T, float,
                   double) {
  const Spec spec{{5, 17, 3}, {kRelu, kIdentity}, Loss::mse};
  Regularisation norms;
  norms.layers = {{0, 0, Norm::batch}, {}};
  Network<T> network(spec.sizes, spec.activations, spec.loss, 0, norms);
  for (Index l = 0; l < network.depth(); ++l) fill_weights(network, l, Distribution::normal, 0.2, kSeed);
  const std::vector<T> before = copy_of(network.parameters());
  Optimizer<T> state = make_optimizer(network);
  const Data<T> data(spec, 21);
  EpochArgs<T> args = arguments(data, 22);
  args.drop_last = true;
  CHECK_THROWS_AS(Trainer<T>(network).epoch(args, state), std::invalid_argument);
  args.batch = 1;
  CHECK_THROWS_AS(Trainer<T>(network).epoch(args, state), std::invalid_argument);
  args.batch = 10;
  args.drop_last = false;
  CHECK_THROWS_AS(Trainer<T>(network).epoch(args, state), std::invalid_argument);
  CHECK(same(copy_of(network.parameters()), before));
  args.drop_last = true;
  CHECK(Trainer<T>(network).epoch(args, state).steps == 2);
}
