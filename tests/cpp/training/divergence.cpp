// Batches and rates that diverge: nothing is learned from them, and the weights are put back.
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

template <class T>
bool all_zero(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T v) { return v == 0; });
}

}  // namespace

TEST_CASE_TEMPLATE("divergence: a bad batch is not learned from", T, float, double) {
  const Spec spec{{5, 20, 3}, {kRelu, kIdentity}, Loss::mse};
  const Index batch = 16, steps_before = 2;
  for (const T bad : {nan<T>(), infinity<T>(), std::numeric_limits<T>::max()}) {
    for (const int team : {1, 2, 4}) {
      for (const bool snapshot : {true, false}) {
        CAPTURE(bad);
        CAPTURE(team);
        CAPTURE(snapshot);
        Data<T> data(spec, 70);
        data.y[static_cast<std::size_t>((steps_before * batch + 3) * 3)] = bad;
        Network<T> network = make_network<T>(spec), other = make_network<T>(spec);
        Optimizer<T> state = make_optimizer(network), other_state = make_optimizer(other);
        Trainer<T> trainer(network);
        EpochArgs<T> args = arguments(data, batch);
        args.shuffle = false;
        args.threads.exactly = team;
        args.snapshot = snapshot;
        const std::vector<T> start = copy_of(network.parameters());
        const EpochResult result = trainer.epoch(args, state);
        CHECK(result.end == EpochEnd::diverged);
        CHECK(result.steps == steps_before);
        CHECK(result.bad_step == steps_before + 1);
        CHECK_FALSE(std::isfinite(result.bad_loss));
        CHECK(std::isfinite(result.score.loss));

        args.x.rows = steps_before * batch;
        REQUIRE(Trainer<T>(other).epoch(args, other_state).end == EpochEnd::finished);
        CHECK_FALSE(same(start, copy_of(other.parameters())));
        if (snapshot) {
          CHECK(same(copy_of(network.parameters()), start));
          CHECK(all_zero(copy_of(state.state())));
        } else {
          CHECK(same(copy_of(network.parameters()), copy_of(other.parameters())));
          CHECK(same(copy_of(state.state()), copy_of(other_state.state())));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("divergence: a learning rate that is too large, seen in a loss or at the end in the weights", T, float,
                   double) {
  const Spec spec{{5, 20, 3}, {kRelu, kIdentity}, Loss::mse};
  for (const Index rows : {64, 16}) {
    for (const int team : {1, 3}) {
      CAPTURE(rows);
      const Data<T> data(spec, rows);
      Network<T> network = make_network<T>(spec);
      // After one batch the weights themselves overflow; after several, the loss does first.
      const T most = std::numeric_limits<T>::max();
      const double lr = static_cast<double>(rows == 16 ? most : std::sqrt(most));
      Optimizer<T> state = make_optimizer(network, sgd(lr, 0.9, rows == 16 ? 1e9 : 0.001));
      Trainer<T> trainer(network);
      EpochArgs<T> args = arguments(data, 16);
      args.threads.exactly = team;
      const std::vector<T> start = copy_of(network.parameters());
      const EpochResult result = trainer.epoch(args, state);
      CHECK(result.end == EpochEnd::diverged);
      CHECK_FALSE(std::isfinite(result.bad_loss));
      CHECK(result.bad_step == (rows == 16 ? 1 : 2));
      CHECK(same(copy_of(network.parameters()), start));
      CHECK(all_zero(copy_of(state.state())));

      state.configure(sgd(0.01, 0.9, 0));
      CHECK(trainer.epoch(args, state).end == EpochEnd::finished);  // the trainer can still be used
    }
  }
}
