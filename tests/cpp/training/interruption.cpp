// Calls that are interrupted, and what they leave behind.
#include "network/stages.h"
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

struct Asked {
  int times = 0;
  int stop_at = 1;
  static bool ask(void* context) {
    Asked& asked = *static_cast<Asked*>(context);
    return ++asked.times >= asked.stop_at;
  }
  Poll poll() { return {ask, this}; }
};

// So many rows that no machine finishes before it is asked to stop. All of them are the same row.
template <class T>
struct Endless {
  Spec spec;
  Data<T> one{spec, 1};
  std::vector<std::int32_t> labels;
  Endless(const Spec& spec_, Index rows) : spec(spec_), labels(static_cast<std::size_t>(rows)) {
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 10);
  }
  Rows x(Index rows) const { return {one.x.data(), rows, 256, 0, source_kind<T>}; }
  Targets y() const {
    Targets targets;
    targets.labels = labels.data();
    return targets;
  }
};

}  // namespace

TEST_CASE_TEMPLATE("an interrupted epoch leaves the weights of the last finished step", T, float, double) {
  const Index rows = 200000, batch = 64;
  const Endless<T> endless({{256, 512, 10}, {kRelu, kIdentity}, Loss::cross_entropy, true}, rows);
  for (const int team : {1, 2, 3}) {
    for (const int stop_at : {1, 3}) {
      CAPTURE(team);
      Asked asked;
      asked.stop_at = stop_at;
      Network<T> network = make_network<T>(endless.spec);
      Optimizer<T> state = make_optimizer(network, sgd(0.01, 0.9, 0));
      Trainer<T> trainer(network);
      EpochArgs<T> args;
      args.x = endless.x(rows);
      args.y = endless.y();
      args.batch = batch;
      args.threads.exactly = team;
      args.poll = asked.poll();
      const EpochResult result = trainer.epoch(args, state);
      REQUIRE(result.end == EpochEnd::interrupted);
      CHECK(asked.times == stop_at);
      CHECK(result.steps < rows / batch);
      CHECK(trainer.progress().rows == result.steps * batch);

      // Another network takes as many steps as were finished.
      Network<T> other = make_network<T>(endless.spec);
      Optimizer<T> other_state = make_optimizer(other, sgd(0.01, 0.9, 0));
      args.x = endless.x(result.steps * batch);
      args.poll = {};
      const EpochResult again = Trainer<T>(other).epoch(args, other_state);
      CHECK(again.end == EpochEnd::finished);
      CHECK(again.steps == result.steps);
      CHECK(again.score.loss == result.score.loss);
      CHECK(same(copy_of(network.parameters()), copy_of(other.parameters())));
      CHECK(same(copy_of(state.state()), copy_of(other_state.state())));

      // Both must go on alike.
      args.x = endless.x(5 * batch + 3);
      CHECK(trainer.epoch(args, state).end == EpochEnd::finished);
      CHECK(Trainer<T>(other).epoch(args, other_state).end == EpochEnd::finished);
      CHECK(same(copy_of(network.parameters()), copy_of(other.parameters())));
    }
  }
}

TEST_CASE("a shuffle of very many rows can be interrupted, before the first step") {
  const Index rows = 6000000;  // about a quarter of a second
  const Spec spec{{1, 1}, {kIdentity}, Loss::mse};
  Network<float> network = make_network<float>(spec);
  const std::vector<float> before = copy_of(network.parameters());
  Optimizer<float> state = make_optimizer(network);
  Trainer<float> trainer(network);
  const float one = 1;
  Asked asked;
  asked.stop_at = 1;
  EpochArgs<float> args;
  args.x = args.y.rows = {&one, rows, 1, 0, Source::float32};
  args.batch = 64;
  args.shuffle = true;
  args.poll = asked.poll();
  const EpochResult result = trainer.epoch(args, state);
  CHECK(result.end == EpochEnd::interrupted);
  CHECK(result.steps == 0);
  CHECK(same(copy_of(network.parameters()), before));
}

TEST_CASE_TEMPLATE("predict, evaluate and the stages can be interrupted", T, float, double) {
  const Index rows = kSlow ? 1000 : 4000;  // 50 ms and more for two cores, because the core asks after 20 ms
  const Endless<T> endless({{256, 1024, 1024, 10}, {kRelu, kRelu, kIdentity}, Loss::cross_entropy, true}, rows);
  const Network<T> network = make_network<T>(endless.spec);
  std::vector<T> out(static_cast<std::size_t>(rows * 10));
  for (const int team : {1, 2}) {
    CAPTURE(team);
    Asked asked;
    CHECK_FALSE(predict(network, endless.x(rows), false, out.data(), {0, team}, asked.poll()));
    CHECK(asked.times == 1);
    Score score;
    Asked again;
    CHECK_FALSE(evaluate(network, endless.x(rows), endless.y(), score, {0, team}, again.poll()));
    CHECK(again.times == 1);

    Stages<T> stages(network);
    Asked third, fourth;
    CHECK_FALSE(stages.forward(endless.x(rows), {0, team}, third.poll()));
    CHECK_FALSE(stages.has_forward());
    double loss = 0;
    REQUIRE(stages.forward(endless.x(rows), {0, team}, {}));
    CHECK_FALSE(stages.backward(endless.y(), loss, {0, team}, fourth.poll()));
    CHECK(stages.has_forward());
    CHECK_FALSE(stages.has_backward());
  }
}
