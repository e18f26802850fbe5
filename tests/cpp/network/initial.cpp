// How weights and biases start: numbers of seed, layer and place, orthogonal matrices, and the same bits for any team.
#include "network/initial.h"

#include "base/random.h"
#include "network/orthogonal.h"
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE_TEMPLATE("fill_weights: numbers of seed, layer and place, whatever the layout; padding stays zero", T, float,
                   double) {
  Network<T> network({70, 18, 3}, {kRelu, kIdentity}, Loss::mse);
  fill_weights(network, 1, Distribution::uniform, 3.0, 8);
  CHECK(copy_of(network.parameters())[0] == 0);
  fill_weights(network, 0, Distribution::normal, 0.5, 8);
  Index zeros = 0;
  for (const T v : copy_of(network.parameters())) zeros += v == 0 ? 1 : 0;
  CHECK(zeros == network.parameters().size() - 70 * 18 - 18 * 3);
  bool right = true;
  for (Index l = 0; l < 2; ++l) {
    const DenseLayer<T>& layer = network.layer(l);
    for (Index i = 0; i < layer.fan_in; ++i) {
      for (Index j = 0; j < layer.fan_out; ++j) {
        const auto place = static_cast<std::uint64_t>(i * layer.fan_out + j);
        const auto index = static_cast<std::uint32_t>(l);
        const double want =
            l == 0 ? 0.5 * normal(8, Stream::weights, index, place) : 3.0 * (2 * uniform(8, Stream::weights, index, place) - 1);
        right = right && std::fabs(layer.w.row(j / kLanes, i)[j % kLanes] - want) < 1e-6;
      }
    }
  }
  CHECK(right);
}

TEST_CASE_TEMPLATE("fill_biases: a stream of their own, which leaves weights and padding alone", T, float, double) {
  Network<T> network({70, 18, 3}, {kRelu, kIdentity}, Loss::mse);
  fill_weights(network, 0, Distribution::normal, 0.5, 8);
  const T w = network.layer(0).w.row(1, 69)[1];
  fill_biases(network, 0, 0.25, 8);
  CHECK(network.layer(0).w.row(1, 69)[1] == w);
  for (Index j = 0; j < 2 * kLanes; ++j) {
    const double want = 0.25 * (2 * uniform(8, Stream::biases, 0, static_cast<std::uint64_t>(j)) - 1);
    CHECK(network.layer(0).b[j] == (j < 18 ? static_cast<T>(want) : T(0)));
  }
  CHECK(network.layer(1).b[0] == 0);
}

TEST_CASE("orthonormal_columns: QT Q = I, and the same bits for any team") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {2, 1}, {16, 16}, {17, 17}, {40, 7}, {33, 32}, {130, 95}}) {
    std::vector<double> first;
    for (const int team : kTeams) {
      Arena<double> memory(panels(cols) * rows * kLanes);
      const Panels<double> q{memory.data(), rows};
      REQUIRE(orthonormal_columns(rows, cols, 3, 1, q, {}, {0, team}));
      double worst = 0;
      for (Index a = 0; a < cols; ++a) {
        for (Index b = 0; b <= a; ++b) {
          long double sum = 0;
          for (Index i = 0; i < rows; ++i) {
            sum += static_cast<long double>(q.row(a / kLanes, i)[a % kLanes]) * q.row(b / kLanes, i)[b % kLanes];
          }
          worst = std::max(worst, static_cast<double>(std::fabs(sum - (a == b ? 1 : 0))));
        }
      }
      CHECK(worst < 1e-14);
      if (first.empty()) first = copy_of(memory);
      CHECK(same(first, copy_of(memory)));
    }
  }
}

TEST_CASE("orthonormal_columns: all of the columns, and each sign as often as the other") {
  // With R's diagonal negative or positive as it comes, the first number of each column would nearly always be negative.
  double sum = 0;
  Index positive = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Arena<double> memory(4 * kLanes);
    const Panels<double> q{memory.data(), 4};
    REQUIRE(orthonormal_columns(4, 2, seed, 0, q, {}));
    positive += q.row(0, 0)[0] > 0 ? 1 : 0;
    sum += q.row(0, 0)[0] * q.row(0, 0)[0];
  }
  CHECK(std::abs(positive - 200) < 50);       // five standard deviations
  CHECK(std::fabs(sum / 400 - 0.25) < 0.06);  // a unit vector in four dimensions; the deviation is 0.011
}

TEST_CASE("an orthogonal start can be stopped") {
  Network<float> network({900, 900}, {kIdentity}, Loss::mse);
  const Poll stop{[](void*) { return true; }, nullptr};
  CHECK_FALSE(fill_weights(network, 0, Distribution::orthogonal, 1.0, 8, stop));
}
