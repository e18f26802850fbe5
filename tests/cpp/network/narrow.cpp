// The narrow way against the passes over panels, to the last bit: activations, deltas, gradients, scores and outputs of
// networks of any narrow shape, with batches cut into chunks and chunks into pieces in any way.
#include "network/narrow.h"

#include "network/stages.h"
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

constexpr Activation kHidden[] = {kIdentity,
                                  kRelu,
                                  kLeaky,
                                  kTanh,
                                  kSigmoid,
                                  Activation::elu,
                                  Activation::selu,
                                  Activation::softplus,
                                  Activation::softsign,
                                  Activation::exponential,
                                  Activation::gelu,
                                  Activation::gelu_tanh,
                                  Activation::silu,
                                  Activation::mish};
constexpr Index kKinds = sizeof kHidden / sizeof kHidden[0];

// A narrow network of any kind.
Spec narrow_spec(Dice& dice) {
  constexpr Loss losses[] = {Loss::mse,   Loss::quadratic, Loss::cross_entropy, Loss::binary_cross_entropy,
                             Loss::mae,   Loss::huber,     Loss::poisson,       Loss::quantile,
                             Loss::hinge, Loss::focal};
  Spec spec;
  const Index depth = 1 + dice.below(4), most = dice.below(3) == 0 ? 8 : kSmallUnits;
  for (Index i = 0; i <= depth; ++i) spec.sizes.push_back(1 + dice.below(most));
  for (Index l = 0; l < depth; ++l) {
    spec.activations.push_back(kHidden[dice.below(kKinds)]);
    spec.biases.push_back(dice.below(5) > 0);
  }
  spec.loss = losses[dice.below(10)];
  const bool probabilities = spec.loss == Loss::cross_entropy || spec.loss == Loss::focal;
  if (probabilities && spec.sizes.back() == 1) spec.sizes.back() = 2;
  const Index outputs = spec.sizes.back();
  const bool free = spec.loss == Loss::mse || spec.loss == Loss::quadratic || spec.loss == Loss::mae ||
                    spec.loss == Loss::huber || spec.loss == Loss::quantile;
  if (!free) spec.activations.back() = kIdentity;
  if (spec.loss == Loss::mse && dice.below(4) == 0 && outputs > 1) spec.activations.back() = kSoftmax;
  spec.labels = (probabilities && dice.below(2)) || (spec.loss == Loss::hinge && outputs > 1);
  return spec;
}

template <class T>
void expect_same(Panels<const T> got, Panels<const T> want, Index rows, Index units, const std::string& what) {
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < units; ++j) {
      if (!same(got.row(j / kLanes, r)[j % kLanes], want.row(j / kLanes, r)[j % kLanes])) {
        FAIL(what << " of row " << r << ", unit " << j << ": got " << got.row(j / kLanes, r)[j % kLanes] << ", expected "
                  << want.row(j / kLanes, r)[j % kLanes]);
      }
    }
  }
}

// Lanes of units that do not exist are 0, or -0 times a slope.
template <class T>
void expect_zeros(Panels<const T> got, Index rows, Index units, const std::string& what) {
  for (Index r = 0; r < rows; ++r) {
    for (Index j = units; j < panels(units) * kLanes; ++j) {
      const T number = got.row(j / kLanes, r)[j % kLanes];
      if (number != T(0)) FAIL(what << " of row " << r << ", unit " << j << " of " << units << ": " << number);
    }
  }
}

// Calls f(begin, end) for pieces of `rows` rows, in any order.
template <class F>
void in_pieces(Dice& dice, Index rows, F f) {
  std::vector<std::pair<Index, Index>> pieces;
  for (Index r = 0; r < rows;) {
    const Index end = std::min(rows, r + kLanes * (1 + dice.below(4)));
    pieces.push_back({r, end});
    r = end;
  }
  while (!pieces.empty()) {
    const auto i = static_cast<std::ptrdiff_t>(dice.below(static_cast<Index>(pieces.size())));
    f(pieces[static_cast<std::size_t>(i)].first, pieces[static_cast<std::size_t>(i)].second);
    pieces.erase(pieces.begin() + i);
  }
}

template <class T>
struct NarrowCase {
  Dice& dice;
  Spec spec;
  Index batch;
  Network<T> network;
  Data<T> data, shuffled;
  std::vector<std::uint32_t> order;
  std::vector<T> weights;
  bool weighted, by_batch;

  NarrowCase(Dice& dice_, const Spec& spec_, Index batch_)
      : dice(dice_),
        spec(spec_),
        batch(batch_),
        network(make_network<T>(spec)),
        data(spec, batch + 20),
        shuffled(data),
        weighted(dice.below(3) == 0),
        by_batch(dice.below(2)) {
    for (Index i = 0; i < data.rows; ++i) {
      order.push_back(static_cast<std::uint32_t>(i));
      std::swap(order.back(), order[static_cast<std::size_t>(dice.below(i + 1))]);
      weights.push_back(T(dice.below(4)));
    }
    shuffled = data.batch(order, 7, batch);
  }

  Targets answers(const Data<T>& of, const std::vector<T>& with) const {
    Targets y = of.targets();
    y.by_batch = by_batch;
    if (weighted) y.row_weights = Data<T>::view(with, static_cast<Index>(with.size()), 1);
    return y;
  }
  std::vector<T> shuffled_weights() const {
    std::vector<T> list;
    for (Index i = 0; i < batch; ++i) list.push_back(weights[order[static_cast<std::size_t>(7 + i)]]);
    return list;
  }

  void learn() {
    const std::vector<T> shares = shuffled_weights();
    const Targets y = answers(shuffled, shares);
    Stages<T> stages(network);
    double loss = 0;
    REQUIRE(stages.forward(shuffled.inputs_view(), {1}, {}));
    REQUIRE(stages.backward(y, loss, {1}, {}));
    const Workspace<T>& want = stages.work();

    const Index most = kLanes * (1 + dice.below(6));
    const NarrowWork<T> work(network, most);
    std::vector<T> gradients(static_cast<std::size_t>(network.parameters().size()));
    NarrowRows rows{data.inputs_view(), answers(data, weights), {order.data(), 7}, divisor_of<T>(y, {}, batch)};
    work.turn_weights();
    for (Index r = 0; r < batch; r += most) {
      const Index n = std::min(most, batch - r);
      rows.selection.start = 7 + r;
      in_pieces(dice, n, [&](Index begin, Index end) {
        work.forward_backward(rows, begin, end, {n, std::min(2 * n, batch - r)});
      });
      for (Index p = 0; p < panels(n); ++p) {
        const Score got = work.scores()[p], expected = want.scores()[r / kLanes + p];
        CHECK(same(got.loss, expected.loss));
        CHECK(same(got.metric, expected.metric));
        CHECK(same(got.weight, expected.weight));
      }
      for (Index l = 0; l < network.depth(); ++l) {
        expect_same<T>(work.delta(l), want.delta_t(l).at(0, r), n, network.layer(l).fan_out, "delta");
        expect_zeros(work.delta(l), n, network.layer(l).fan_out, "delta");
      }
      if (dice.below(2)) {
        work.gradients(n, gradients.data(), r == 0);
      } else {
        for (Index i = work.gradient_pieces(); i-- > 0;) work.gradients(i, n, gradients.data(), r == 0);
      }
    }
    work.finish(gradients.data());
    CHECK(same(gradients, copy_of(want.gradients())));  // the lanes that do not exist too
  }
};

}  // namespace

TEST_CASE_TEMPLATE("narrow: the bits of the passes over panels, whatever the network, the chunks and the pieces", T, float,
                   double) {
  Dice dice(40);
  for (int turn = 0; turn < (few_sizes() ? 150 : 1500); ++turn) {
    const Spec spec = narrow_spec(dice);
    const Index batch = 1 + dice.below(dice.below(2) ? 300 : 40);
    CAPTURE(turn);
    CAPTURE(spec.describe());
    CAPTURE(batch);
    NarrowCase<T> c(dice, spec, batch);
    CAPTURE(c.weighted);
    c.learn();
  }
}

TEST_CASE("narrow: which networks fit") {
  const auto fits = [](Index units, Regularisation regularisation) {
    return is_narrow(Network<float>({4, units, 3}, {kTanh, kIdentity}, Loss::mse, 0, regularisation).shape());
  };
  CHECK(fits(kSmallUnits, {}));
  CHECK(!fits(kSmallUnits + 1, {}));
  Regularisation dropout;
  dropout.input_dropout = 0.5;
  CHECK(!fits(8, dropout));
  Regularisation norm;
  norm.layers.resize(2);
  norm.layers[0].norm = Norm::layer;
  CHECK(!fits(8, norm));
}

// Two threads do best with pieces of like size.
TEST_CASE_TEMPLATE("narrow: the gradients of small networks fall into several pieces", T, float, double) {
  for (const std::vector<Index>& sizes : {std::vector<Index>{16, 16, 16, 16}, {4, 32, 16, 4}, {24, 48, 20, 3}, {64, 64, 64}}) {
    const Network<T> network(sizes, std::vector<Activation>(sizes.size() - 1, kRelu), Loss::mse);
    CHECK(NarrowWork<T>(network, 64).gradient_pieces() >= 3);
  }
}
