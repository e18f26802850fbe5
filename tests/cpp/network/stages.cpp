// The passes by hand: their sums are the chains of the contract to the last bit, and the same for every team.
#include "network/stages.h"

#include "support/networks.h"
#include "support/oracle/activations.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE_TEMPLATE("stages: a gradient of one's own is the loss's, if it is the loss's; the same bits for every team", T, float,
                   double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Index rows = 37;
    const Network<T> network = make_network<T>(spec);
    const Data<T> data(spec, rows);
    std::vector<T> first_gradient, first_dx;
    for (const int team : kTeams) {
      Stages<T> stages(network);
      double loss = 0;
      CHECK_FALSE(stages.has_forward());
      REQUIRE(stages.forward(data.inputs_view(), {0, team}, {}));
      CHECK_FALSE(stages.has_backward());
      REQUIRE(stages.backward(data.targets(), loss, {0, team}, {}));
      const std::vector<T> gradient = copy_of(stages.work().gradients());
      const auto input_gradient = [&] {
        Panels<T> dx;
        const Arena<T> owner = stages.input_gradient(dx, {team});
        return unpacked(dx, rows, data.inputs);
      };
      const std::vector<T> dx = input_gradient();
      if (team == 1) {
        first_gradient = gradient;
        first_dx = dx;
      }
      CHECK(same(gradient, first_gradient));
      CHECK(same(dx, first_dx));

      // The last layer's delta goes out and in again.
      const std::vector<T> dz = unpacked_lanes(stages.work().delta_t(network.depth() - 1), rows, data.outputs);
      REQUIRE(stages.backward(Data<T>::view(dz, rows, data.outputs), {0, team}, {}));
      CHECK(same(copy_of(stages.work().gradients()), first_gradient));
      CHECK(same(input_gradient(), first_dx));
    }
  }
}

namespace {

// The stages as the contract of numbers has them, without blocks, panels or threads: every sum is one
// chain in ascending order. Matrices are row-major; the delta of the last layer is given.
template <class O>
struct Chains {
  using T = typename O::T;
  using Matrix = std::vector<T>;
  const Network<T>& network;
  Index rows;
  std::vector<Matrix> z, a, delta, dw, db;  // of layer l at l; a[0]: the inputs; delta[0]: the gradient of the inputs

  static T& at(Matrix& m, Index cols, Index r, Index c) { return m[static_cast<std::size_t>(r * cols + c)]; }
  // What f' of a layer is computed from.
  T from(std::size_t i, Index cols, Index r, Index c) {
    return at(derived_from_z(network.layer(static_cast<Index>(i) - 1).activation) ? z[i] : a[i], cols, r, c);
  }
  T weight(Index l, Index i, Index j) const { return network.layer(l - 1).w.row(j / kLanes, i)[j % kLanes]; }
  Index units(Index l) const { return network.size_of({l}); }

  Chains(const Network<T>& network_, Index rows_, const Matrix& x, const Matrix& last_delta) : network(network_), rows(rows_) {
    const Index depth = network.depth();
    for (std::vector<Matrix>* all : {&z, &a, &delta, &dw, &db}) all->resize(static_cast<std::size_t>(depth + 1));
    a[0] = x;
    for (Index l = 1; l <= depth; ++l) forward(l);
    delta.back() = last_delta;
    for (Index l = depth; l >= 1; --l) backward(l);
  }

  void forward(Index l) {
    const auto i = static_cast<std::size_t>(l);
    const Index n = units(l), k = units(l - 1);
    z[i].resize(static_cast<std::size_t>(rows * n));
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < n; ++j) {
        T sum = network.layer(l - 1).b[j];
        for (Index t = 0; t < k; ++t) sum = O::fma(at(a[i - 1], k, r, t), weight(l, t, j), sum);
        at(z[i], n, r, j) = sum;
      }
    }
    a[i] = z[i];
    const Activation f = network.layer(l - 1).activation;
    for (Index r = 0; r < rows; ++r) {
      Values<T> lane(static_cast<std::size_t>(n * kLanes));
      for (Index j = 0; j < n; ++j) lane[static_cast<std::size_t>(j * kLanes)] = at(z[i], n, r, j);
      oracle::Activations<O>::activate(n, 1, lane.data(), f);
      for (Index j = 0; j < n; ++j) at(a[i], n, r, j) = lane[static_cast<std::size_t>(j * kLanes)];
    }
  }

  void backward(Index l) {
    const auto i = static_cast<std::size_t>(l);
    const Index n = units(l), k = units(l - 1);
    dw[i].resize(static_cast<std::size_t>(k * n));
    db[i].resize(static_cast<std::size_t>(n));
    delta[i - 1].resize(static_cast<std::size_t>(rows * k));
    for (Index j = 0; j < n; ++j) {
      T chain[4] = {};
      for (Index r = 0; r < rows; ++r) chain[r % 4] += at(delta[i], n, r, j);
      db[i][static_cast<std::size_t>(j)] = (chain[0] + chain[1]) + (chain[2] + chain[3]);
    }
    for (Index t = 0; t < k; ++t) {
      for (Index j = 0; j < n; ++j) {
        T sum = 0;
        for (Index r = 0; r < rows; ++r) sum = O::fma(at(a[i - 1], k, r, t), at(delta[i], n, r, j), sum);
        at(dw[i], n, t, j) = sum;
      }
      for (Index r = 0; r < rows; ++r) {
        T sum = 0;
        for (Index j = 0; j < n; ++j) sum = O::fma(weight(l, t, j), at(delta[i], n, r, j), sum);
        at(delta[i - 1], k, r, t) =
            l == 1 ? sum : oracle::Activations<O>::derived(sum, from(i - 1, k, r, t), network.layer(l - 2).activation);
      }
    }
  }
};

template <class O>
void check_chains(const Spec& spec, Index rows, int team) {
  using T = typename O::T;
  const Network<T> network = make_network<T>(spec);
  const Data<T> data(spec, rows);
  Stages<T> stages(network);
  double loss = 0;
  REQUIRE(stages.forward(data.inputs_view(), {0, team}, {}));
  REQUIRE(stages.backward(data.targets(), loss, {0, team}, {}));
  const Workspace<T>& work = stages.work();
  const Chains<O> chains(network, rows, data.x, unpacked_lanes(work.delta_t(network.depth() - 1), rows, data.outputs));
  for (Index l = 0; l < network.depth(); ++l) {
    CAPTURE(l);
    const auto i = static_cast<std::size_t>(above(l).i);  // where the chains of the layer are
    const Index units = network.layer(l).fan_out;
    CHECK(same(unpacked(work.z(l), rows, units), chains.z[i]));
    CHECK(same(unpacked(work.a(above(l)), rows, units), chains.a[i]));
    CHECK(same(unpacked_lanes(work.delta_t(l), rows, units), chains.delta[i]));
    const LayerSink<T> gradient = network.sink_of(l, {work.gradients().data()});
    CHECK(same(unpacked_lanes(gradient.g, network.layer(l).fan_in, units), chains.dw[i]));
    if (!network.layer(l).biased) continue;
    CHECK(same(std::vector<T>(gradient.g_bias, gradient.g_bias + units), chains.db[i]));
  }
  Panels<T> dx;
  const Arena<T> owner = stages.input_gradient(dx, {team});
  CHECK(same(unpacked(dx, rows, data.inputs), chains.delta[0]));
}

}  // namespace

TEST_CASE_TEMPLATE("stages: z, a, delta, dw, db, dx are the chains of the contract, to the last bit", T, float, double) {
  std::vector<Spec> all = specs();
  all.push_back({{20, 33, 410, 4}, {kRelu, kTanh, kIdentity}, Loss::mse});  // three blocks of the reduction of a delta
  int turn = 0;
  for (const Spec& spec : all) {
    for (const Index rows : {5, 33, 300, 530}) {
      if (few_sizes() && rows == 530) continue;
      CAPTURE(spec.describe());
      CAPTURE(rows);
      const int team = 1 + turn++ % 3;
      if (active_table().fused) {
        check_chains<Scalar<T>>(spec, rows, team);
      } else {
        check_chains<Unfused<T>>(spec, rows, team);
      }
    }
  }
}

TEST_CASE_TEMPLATE("stages: z is what activation takes, a what it gives", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Network<T> network = make_network<T>(spec);
    const Data<T> data(spec, 21);
    Stages<T> stages(network);
    REQUIRE(stages.forward(data.inputs_view(), {}, {}));
    for (Index l = 0; l < network.depth(); ++l) {
      const Panels<T> z = stages.work().z(l), a = stages.work().a(above(l));
      const Index units = network.layer(l).fan_out;
      for (Index p = 0; p < 2; ++p) {
        const int lanes = p == 0 ? 16 : 5;
        Values<T> want(z.panel(p), z.panel(p) + units * kLanes);
        network.kernels().activate(units, lanes, want.data(), network.layer(l).activation);
        bool equal = true;
        for (Index i = 0; i < units * kLanes; ++i)
          equal = equal && (i % kLanes >= lanes || same(a.panel(p)[i], want[static_cast<std::size_t>(i)]));
        CHECK(equal);
      }
    }
  }
}
