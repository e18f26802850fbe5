// predict and evaluate: threads, slices and batches must not change a bit; and they
// agree with the plain network.
#include "network/stages.h"
#include "support/plain.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE_TEMPLATE("predict: the same bits for any slicing of the rows and any team, near the plain network", T, float,
                   double) {
  for (const Spec& spec : specs()) {
    for (const bool probabilities : {false, true}) {
      CAPTURE(spec.describe());
      CAPTURE(probabilities);
      const Network<T> network = make_network<T>(spec);
      const Index rows = few_sizes() ? 150 : 301;
      const Data<T> data(spec, rows);
      std::vector<T> whole(static_cast<std::size_t>(rows * data.outputs));
      REQUIRE(predict(network, data.inputs_view(), probabilities, whole.data(), {1}, {}));
      for (const int team : kTeams) {
        std::vector<T> out(whole.size(), T(-9));
        REQUIRE(predict(network, data.inputs_view(), probabilities, out.data(), {0, team}, {}));
        CHECK(same(out, whole));
      }
      Dice dice(9);
      for (const Index longest : {1, 20, 200}) {
        std::vector<T> out(whole.size(), T(-9));
        for (Index r = 0; r < rows;) {
          const Index count = std::min(rows - r, 1 + dice.below(longest));
          Rows part = data.inputs_view();
          part.data = part.row(r);
          part.rows = count;
          REQUIRE(predict(network, part, probabilities, out.data() + r * data.outputs, {0, longest < 200 ? 1 : 3}, {}));
          r += count;
        }
        CHECK(same(out, whole));
      }

      const Plain plain(network, spec);
      Worst worst;
      const bool logits = plain.takes_logits() && !probabilities;
      for (Index r = 0; r < 20; ++r) {
        std::vector<long double> want = plain.outputs(Plain::row(data.x, r, data.inputs), !plain.takes_logits());
        if (plain.takes_logits() && !logits) Plain::activate(want, network.loss_activation());
        for (Index j = 0; j < data.outputs; ++j)
          worst.see(whole[static_cast<std::size_t>(r * data.outputs + j)], want[static_cast<std::size_t>(j)]);
      }
      CHECK(worst.error < (sizeof(T) == 4 ? 2e-5L : 1e-13L) * std::max(1.0L, worst.largest));
    }
  }
}

TEST_CASE_TEMPLATE("no rows: nothing to predict, to score, to learn from", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    Network<T> network = make_network<T>(spec);
    const Data<T> data(spec, 0);
    const std::vector<T> before = copy_of(network.parameters());
    Score score;
    CHECK(predict(network, data.inputs_view(), false, static_cast<T*>(nullptr), {}, {}));
    CHECK(evaluate(network, data.inputs_view(), data.targets(), score, {}, {}));
    CHECK(score.loss == 0);
    Optimizer<T> state = make_optimizer(network);
    const EpochResult result = Trainer<T>(network).epoch(arguments(data, 16), state);
    CHECK(result.end == EpochEnd::finished);
    CHECK(result.steps == 0);
    CHECK(same(copy_of(network.parameters()), before));
  }
}

// The rows of a predict and the forward pass of a batch go through different loops, which
// must give the same numbers.
TEST_CASE_TEMPLATE("predict: the bits of the stages' forward pass, whatever the batch", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Network<T> network = make_network<T>(spec);
    for (const Index rows : batches()) {
      const Data<T> data(spec, rows);
      std::vector<T> out(static_cast<std::size_t>(rows * data.outputs));
      REQUIRE(predict(network, data.inputs_view(), false, out.data(), {}, {}));
      Stages<T> stages(network);
      REQUIRE(stages.forward(data.inputs_view(), {0, 2}, {}));
      CHECK(same(out, unpacked(stages.work().a({network.depth()}), rows, data.outputs)));
    }
  }
}

TEST_CASE_TEMPLATE("evaluate: the same bits for every team, near the plain loss", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Network<T> network = make_network<T>(spec);
    const Data<T> data(spec, 301);
    Score alone;
    REQUIRE(evaluate(network, data.inputs_view(), data.targets(), alone, {1}, {}));
    for (const int team : kTeams) {
      Score score;
      REQUIRE(evaluate(network, data.inputs_view(), data.targets(), score, {0, team}, {}));
      CHECK(same(score.loss, alone.loss));
      CHECK(same(score.metric, alone.metric));
    }
    const Plain plain(network, spec);
    const long double loss = plain.total_loss(data);
    CHECK(std::fabs(alone.loss - loss) < (sizeof(T) == 4 ? 1e-5L : 1e-12L) * loss);

    long double metric = 0;
    for (Index r = 0; r < data.rows; ++r) {
      const auto a = plain.outputs(Plain::row(data.x, r, data.inputs), !plain.takes_logits()), t = Plain::target(data, r);
      if (network.picks_one()) {
        metric += std::max_element(a.begin(), a.end()) - a.begin() == std::max_element(t.begin(), t.end()) - t.begin() ? 1 : 0;
        continue;
      }
      for (std::size_t j = 0; j < a.size(); ++j) {
        const long double middle = spec.loss == Loss::hinge ? 0.0L : 0.5L,
                          out = spec.loss == Loss::poisson ? std::exp(a[j]) : a[j];
        metric += plain.is_classifier() ? ((a[j] > 0) == (t[j] > middle) ? 1 : 0) : std::fabs(out - t[j]);
      }
    }
    CHECK(std::fabs(alone.metric - metric) < (sizeof(T) == 4 ? 1e-4L : 1e-11L) * std::max(1.0L, metric));
  }
}
