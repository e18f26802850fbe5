// Row weights, divided by the number of rows and by batch: rows repeated instead, teams, and rows and
// batches of weight 0.
#include "network/stages.h"
#include "support/plain.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

template <class T>
Targets weighted(const Data<T>& data, const std::vector<T>& weights, bool by_batch = false) {
  Targets y = data.targets();
  y.by_batch = by_batch;
  y.row_weights = Data<T>::view(weights, static_cast<Index>(weights.size()), 1);
  return y;
}

// Data whose row weights are 0 to 3, and the same rows repeated as often as their weights say.
template <class T>
struct Repeated {
  std::vector<T> weights;
  std::vector<std::uint32_t> order;
  explicit Repeated(Index rows) {
    Dice dice(7);
    for (Index r = 0; r < rows; ++r) {
      weights.push_back(static_cast<T>(r == 0 ? 1 : dice.below(4)));
      for (int i = 0; i < static_cast<int>(weights.back()); ++i) order.push_back(static_cast<std::uint32_t>(r));
    }
  }
};

}  // namespace

TEST_CASE_TEMPLATE("weights of rows: what repeated rows give, the same bits for every team", T, float, double) {
  const double bound = sizeof(T) == 4 ? 2e-5 : 1e-12;
  for (const Spec& spec : specs()) {
    for (const Index rows : {3, 21, 150}) {
      CAPTURE(spec.describe());
      CAPTURE(rows);
      const Network<T> network = make_network<T>(spec);
      const Data<T> data(spec, rows);
      const Repeated<T> repeated(rows);
      const auto count = static_cast<Index>(repeated.order.size());
      const Data<T> often = data.batch(repeated.order, 0, count);
      const Targets y = weighted(data, repeated.weights);

      Score plain, alone;
      REQUIRE(evaluate(network, often.inputs_view(), often.targets(), plain, {1}, {}));
      REQUIRE(evaluate(network, data.inputs_view(), y, alone, {1}, {}));
      CHECK(alone.weight == static_cast<double>(count));
      CHECK(std::fabs(alone.loss - plain.loss) <= bound * std::max(1.0, plain.loss));
      CHECK(std::fabs(alone.metric - plain.metric) <= bound * std::max(1.0, plain.metric));

      double expected = 0;
      Stages<T> by_repetition(network);
      REQUIRE(by_repetition.forward(often.inputs_view(), {1}, {}));
      REQUIRE(by_repetition.backward(often.targets(), expected, {1}, {}));
      std::vector<T> first[2];
      for (const int turn : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
        const int team = kTeams[turn / 2];
        const bool by_batch = turn % 2 != 0;  // divided by the number of repeated rows, or by that of the rows themselves
        const double factor = by_batch ? 1 : static_cast<double>(count) / static_cast<double>(rows);
        const Targets given = weighted(data, repeated.weights, by_batch);
        CAPTURE(team);
        CAPTURE(by_batch);
        Score score;
        REQUIRE(evaluate(network, data.inputs_view(), given, score, {0, team}, {}));
        CHECK(same(score.loss, alone.loss));
        CHECK(same(score.metric, alone.metric));
        double loss = 0;
        Stages<T> stages(network);
        REQUIRE(stages.forward(data.inputs_view(), {0, team}, {}));
        REQUIRE(stages.backward(given, loss, {0, team}, {}));
        CHECK(std::fabs(loss - factor * expected) <= bound * std::max(1.0, factor * expected));
        const std::vector<T> gradient = copy_of(stages.work().gradients());
        if (team == 1) first[by_batch] = gradient;
        CHECK(same(gradient, first[by_batch]));
        Worst worst;
        const std::vector<T> want = copy_of(by_repetition.work().gradients());
        for (std::size_t i = 0; i < want.size(); ++i) worst.see(gradient[i], static_cast<T>(factor) * want[i]);
        CHECK(worst.error <= bound * std::max(1.0L, worst.largest));
      }
    }
  }
}

TEST_CASE_TEMPLATE("weights of rows: the same bits for every team; rows of weight 0 do not count", T, float, double) {
  std::size_t turn = 0;
  for (const Spec& spec : specs()) {
    for (const Index batch : {4, 16, 40}) {
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Index rows = 90;
      const Data<T> data(spec, rows);
      const std::vector<T> weights = Repeated<T>(rows).weights;
      EpochArgs<T> args = arguments(data, batch);
      args.y = weighted(data, weights, turn % 4 < 2);
      const Trained<T> alone = trained(spec, args, 1);
      for (int i = 0; i < 2; ++i) {  // the teams take turns over networks and batches
        const int team = kTeams[turn++ % std::size(kTeams)];
        CAPTURE(team);
        CHECK(trained(spec, args, team) == alone);
      }

      // Rows of weight 0 hold other numbers.
      Data<T> other = data;
      for (Index r = 0; r < rows; ++r) {
        for (Index k = 0; weights[static_cast<std::size_t>(r)] == 0 && k < data.inputs; ++k)
          other.x[static_cast<std::size_t>(r * data.inputs + k)] *= T(3e30);
      }
      EpochArgs<T> others = args;
      others.x = other.inputs_view();
      CHECK(trained(spec, others, 1) == alone);
    }
  }
}

TEST_CASE_TEMPLATE("weights of rows: a batch that weighs nothing has loss 0 and no gradient", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Index rows = 40, batch = 8;
    const Data<T> data(spec, rows);
    std::vector<T> weights(static_cast<std::size_t>(rows), T(0));
    EpochArgs<T> args = arguments(data, batch);
    args.shuffle = false;
    args.y = weighted(data, weights);
    Network<T> network = make_network<T>(spec);
    const std::vector<T> before = copy_of(network.parameters());
    Optimizer<T> state = make_optimizer(network, sgd(0.05, 0, 0));
    EpochResult result = Trainer<T>(network).epoch(args, state);
    CHECK(result.end == EpochEnd::finished);
    CHECK(result.steps == 5);
    CHECK(result.score.mean(result.score.loss) == 0);
    CHECK(same(copy_of(network.parameters()), before));

    Network<T> by_batch = make_network<T>(spec);
    Optimizer<T> by_batch_state = make_optimizer(by_batch, sgd(0.05, 0, 0));
    weights[17] = T(0.25);  // in the third of five batches
    args.y.by_batch = true;
    result = Trainer<T>(by_batch).epoch(args, by_batch_state);
    CHECK(result.score.weight == 0.25);
    weights[17] = static_cast<T>(batch);  // the same loss, where it is divided by the number of rows
    args.y.by_batch = false;
    result = Trainer<T>(network).epoch(args, state);
    CHECK(result.score.weight == static_cast<double>(batch));
    Network<T> single = make_network<T>(spec);
    Optimizer<T> single_state = make_optimizer(single, sgd(0.05, 0, 0));
    EpochArgs<T> one = args;
    one.x = data.inputs_view();
    one.x.data = one.x.row(17);
    one.x.rows = one.batch = 1;
    one.y = data.targets();
    if (one.y.labels) one.y.labels += 17;
    if (one.y.rows.data) one.y.rows.data = one.y.rows.row(17);
    REQUIRE(Trainer<T>(single).epoch(one, single_state).end == EpochEnd::finished);
    const std::vector<T> want = copy_of(single.parameters());
    Worst worst;
    for (const Network<T>* trained_one : {&network, &by_batch}) {
      const std::vector<T> got = copy_of(trained_one->parameters());
      for (std::size_t i = 0; i < want.size(); ++i) worst.see(got[i], want[i]);
    }
    CHECK(worst.error <= (sizeof(T) == 4 ? 1e-5L : 1e-12L) * std::max(1.0L, worst.largest));
  }
}
