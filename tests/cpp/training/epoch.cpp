// The fused epoch against the stages by hand; threads, sources and layouts must not change a bit.
#include "base/random.h"
#include "network/stages.h"
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE_TEMPLATE("epoch: the same bits for every team, and from run to run", T, float, double) {
  std::size_t turn = 0;
  for (const Spec& spec : specs()) {
    for (const Index batch : batches()) {
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Data<T> data(spec, rows_for(batch));
      const Trained<T> alone = trained(spec, arguments(data, batch), 1);
      for (int i = 0; i < 2; ++i) {  // the teams take turns over networks and batches
        const int team = kTeams[turn++ % std::size(kTeams)];
        CAPTURE(team);
        CHECK(trained(spec, arguments(data, batch), team) == alone);
      }
      EpochArgs<T> free = arguments(data, batch);
      free.threads.wish = 2;
      CHECK(trained(spec, free, 0) == alone);
    }
  }
}

namespace {

std::vector<OptimizerSettings> kinds_of_update() {
  std::vector<OptimizerSettings> kinds = {sgd(0.05, 0, 0), sgd(0.05, 0.9, 0), sgd(0.05, 0.9, 0.01, true), sgd(0.05, 0, 0.01),
                                          every_term_of_sgd()};
  for (const Rule rule : {Rule::adam, Rule::rmsprop, Rule::adagrad, Rule::lion}) kinds.push_back(settings_of(rule));
  return kinds;
}

// One epoch by hand: forward, backward, update, in batches of the epoch's own order.
template <class T>
Trained<T> by_hand(const Spec& spec, const Data<T>& data, const EpochArgs<T>& args, const OptimizerSettings& settings) {
  Network<T> network = make_network<T>(spec);
  Stages<T> stages(network);
  Optimizer<T> state = make_optimizer(network, settings);
  StoredGradients<T> stored;
  Trained<T> result;
  std::vector<std::uint32_t> order(static_cast<std::size_t>(data.rows));
  permutation(args.seed, args.epoch, static_cast<std::uint32_t>(data.rows), order.data());
  for (Index start = 0; start < data.rows; start += args.batch) {
    const Data<T> part = data.batch(order, start, std::min(args.batch, data.rows - start));
    double loss = 0;
    REQUIRE(stages.forward(part.inputs_view(), args.threads, {}));
    REQUIRE(stages.backward(part.targets(), loss, args.threads, {}));
    CHECK(stages.has_forward());
    CHECK(stages.has_backward());
    CHECK(stages.rows() == part.rows);
    CHECK(stages.version() == network.version);
    apply_update(network, stages.work().gradients(), state, stored, {});
    CHECK(stages.version() != network.version);
    Score score;
    add_scores(score, stages.work(), part.rows);
    CHECK(loss == score.loss / static_cast<double>(part.rows));
    result.loss += score.loss;
    result.metric += score.metric;
  }
  result.parameters = copy_of(network.parameters());
  result.velocity = copy_of(state.state());
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("epoch: the bits of the three stages by hand", T, float, double) {
  const std::vector<OptimizerSettings> kinds = kinds_of_update();
  std::size_t turn = 0;
  for (const Spec& spec : specs()) {
    for (const Index batch : batches()) {
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Data<T> data(spec, rows_for(batch));
      EpochArgs<T> args = arguments(data, batch);
      const OptimizerSettings& settings = kinds[turn++ % kinds.size()];
      args.epoch = 3;
      args.threads.exactly = kTeams[turn % std::size(kTeams)];
      Network<T> network = make_network<T>(spec);
      Optimizer<T> state = make_optimizer(network, settings);
      const EpochResult epoch = Trainer<T>(network).epoch(args, state);
      const Trained<T> fused{copy_of(network.parameters()), copy_of(state.state()), epoch.score.loss, epoch.score.metric};
      CHECK(by_hand(spec, data, args, settings) == fused);
    }
  }
}

namespace {

// The same numbers as S, in rows that run backwards with `gap` values between them.
template <class S, class T>
struct Recast {
  std::vector<S> values;
  Rows view;

  Recast(const std::vector<T>& from, Index rows, Index cols, Index gap) {
    const Index step = cols + gap;
    values.assign(static_cast<std::size_t>(rows * step), S(99));
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < cols; ++k) {
        values[static_cast<std::size_t>((rows - 1 - r) * step + k)] =
            static_cast<S>(from[static_cast<std::size_t>(r * cols + k)]);
      }
    }
    view = {values.data() + (rows - 1) * step, rows, cols, -step * static_cast<Index>(sizeof(S)), source_kind<S>};
  }
};

}  // namespace

TEST_CASE_TEMPLATE("epoch: the same bits from float32, float64 and uint8, and from rows in any place", T, float, double) {
  const Spec few_inputs{{11, 9, 2}, {kTanh, kIdentity}, Loss::mse}, many_inputs{{530, 18, 2}, {kTanh, kIdentity}, Loss::mse};
  for (const Index batch : batches()) {
    const Spec& spec = batch == 17 || batch == 64 ? many_inputs : few_inputs;
    CAPTURE(spec.describe());
    CAPTURE(batch);
    Data<T> data(spec, rows_for(batch));
    for (T& v : data.x) v = std::floor((v + T(1)) * T(4));  // whole numbers, which every source can hold
    for (T& v : data.y) v = std::floor((v + T(1)) * T(4));
    EpochArgs<T> args = arguments(data, batch);
    const Trained<T> plain = trained(spec, args, 2);
    const auto check = [&](auto like) {
      using S = decltype(like);
      for (const Index gap : {0, 3}) {
        CAPTURE(gap);
        const Recast<S, T> x(data.x, data.rows, data.inputs, gap), y(data.y, data.rows, data.outputs, gap);
        args.x = x.view;
        args.y.rows = y.view;
        CHECK(trained(spec, args, 2) == plain);
        Network<T> network = make_network<T>(spec);
        std::vector<T> ours(data.y.size()), theirs(data.y.size());
        REQUIRE(predict(network, data.inputs_view(), false, ours.data(), {0, 2}, {}));
        REQUIRE(predict(network, x.view, false, theirs.data(), {0, 2}, {}));
        CHECK(same(ours, theirs));
      }
    };
    check(float{});
    check(double{});
    check(std::uint8_t{});
  }
}

// Padding must stay as it was made, because gradients, state and weights are copied and compared as a whole.
TEST_CASE_TEMPLATE("epoch: padding of weights and state stays as it was, with every kind of update", T, float, double) {
  // The last panel of 81 units has one unit, and comes where whole panels went before.
  const Spec spec{{64, 81, 3}, {kTanh, kIdentity}, Loss::mse};
  const Data<T> data(spec, 40);
  for (const OptimizerSettings& settings : kinds_of_update()) {
    CAPTURE(static_cast<int>(settings.rule));
    Network<T> network = make_network<T>(spec);
    Optimizer<T> state = make_optimizer(network, settings);
    REQUIRE(Trainer<T>(network).epoch(arguments(data, 16), state).end == EpochEnd::finished);
    Index real = 0;
    for (const DenseLayer<T>& layer : network.layers()) real += (layer.fan_in + 1) * layer.fan_out;
    for (const Arena<T>* arena : {&network.parameters(), &state.state()}) {
      const std::vector<T> all = copy_of(*arena);
      const auto size = static_cast<Index>(all.size()), planes = size / network.parameters().size();
      const bool adagrad = arena == &state.state() && settings.rule == Rule::adagrad;
      const T padding = adagrad ? static_cast<T>(settings.initial) : T(0);
      CHECK(static_cast<Index>(std::count(all.begin(), all.end(), padding)) == size - planes * real);
    }
  }
}
