// How networks are made: their kernels, sizes and first weights; and what makes no sense is
// refused before anything happens.
#include "base/random.h"
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE("the network runs on the kernels that were chosen") {
  const Network<float> network({2, 1}, {kRelu}, Loss::mse);
  CHECK((network.kernels().forward == table_named(std::getenv("RETROGRAD_ISA")).f32.forward));
}

TEST_CASE_TEMPLATE("networks that make no sense are refused", T, float, double) {
  const auto make = [](std::vector<Index> sizes, std::vector<Activation> activations, Loss loss) {
    Network<T> network(sizes, activations, loss);
  };
  CHECK_THROWS_AS(make({}, {}, Loss::mse), std::invalid_argument);
  CHECK_THROWS_AS(make({3}, {}, Loss::mse), std::invalid_argument);
  CHECK_THROWS_AS(make({3, 2}, {}, Loss::mse), std::invalid_argument);
  CHECK_THROWS_AS(make({3, 2}, {kRelu, kRelu}, Loss::mse), std::invalid_argument);
  CHECK_THROWS_AS(make({3, 0}, {kRelu}, Loss::mse), std::invalid_argument);
  CHECK_THROWS_AS(make({-1, 2}, {kRelu}, Loss::mse), std::invalid_argument);
  CHECK_THROWS_AS(make({3, 2, 2}, {kSoftmax, kIdentity}, Loss::mse), std::invalid_argument);
  CHECK_THROWS_AS(make({3, 2}, {kRelu}, Loss::cross_entropy), std::invalid_argument);
  CHECK_THROWS_AS(make({3, 2}, {kSigmoid}, Loss::cross_entropy), std::invalid_argument);
  CHECK_THROWS_AS(make({3, 2}, {kSoftmax}, Loss::binary_cross_entropy), std::invalid_argument);
  CHECK_NOTHROW(make({3, 2}, {kSoftmax}, Loss::cross_entropy));
  CHECK_NOTHROW(make({3, 2}, {kIdentity}, Loss::cross_entropy));
  CHECK_NOTHROW(make({3, 2}, {kSigmoid}, Loss::binary_cross_entropy));
  CHECK_NOTHROW(make({3, 2}, {kSoftmax}, Loss::quadratic));
  for (const LossFacts& facts : kLosses) {  // over one output it is always 1 (FAULTS 40)
    CAPTURE(facts.name);
    CHECK_THROWS_AS(make({3, 1}, {kSoftmax}, facts.kind), std::invalid_argument);
    CHECK_THROWS_AS(make({3, 4, 1}, {kRelu, kSoftmax}, facts.kind), std::invalid_argument);
  }
}

TEST_CASE_TEMPLATE("sizes that overflow are an error before anything is allocated", T, float, double) {
  const auto make = [](std::vector<Index> sizes) {
    Network<T> network(sizes, std::vector<Activation>(sizes.size() - 1, kRelu), Loss::mse);
  };
  constexpr Index max = std::numeric_limits<Index>::max();
  CHECK_THROWS_AS(make({Index{1} << 32, Index{1} << 32}), std::length_error);
  CHECK_THROWS_AS(make({Index{1} << 40, Index{1} << 40}), std::length_error);
  CHECK_THROWS_AS(make({1, Index{1} << 60}), std::length_error);
  CHECK_THROWS_AS(make({Index{1} << 60, 1}), std::length_error);
  CHECK_THROWS_AS(make({4, 4, Index{1} << 58, 4}), std::length_error);
  CHECK_THROWS_AS(make({max, 1}), std::length_error);
  CHECK_THROWS_AS(make({1, max}), std::length_error);
  CHECK_THROWS_AS(make({max - 31, max - 15}), std::length_error);
  // Every layer fits by itself, but their sum is 2^64 and a little more, which must
  // not be taken for that little.
  CHECK_THROWS_AS(make(std::vector<Index>(257, Index{1} << 28)), std::length_error);

  const Network<T> network({3, 200, 2}, {kRelu, kIdentity}, Loss::mse);
  for (const Purpose purpose : {Purpose::inference, Purpose::training, Purpose::by_hand}) {
    CHECK_THROWS_AS((Workspace<T>{network, Index{1} << 52, purpose}), std::length_error);
    CHECK_THROWS_AS((Workspace<T>{network, max - 15, purpose}), std::length_error);
    CHECK_THROWS_AS((Workspace<T>{network, max, purpose}), std::length_error);
  }
}

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

TEST_CASE_TEMPLATE("find_nonfinite_layer: the first layer with a bad weight or bias", T, float, double) {
  Network<T> network = make_network<T>({{5, 20, 3}, {kRelu, kIdentity}, Loss::mse});
  CHECK(find_nonfinite_layer(network) == -1);
  network.layer(1).b[2] = nan<T>();
  CHECK(find_nonfinite_layer(network) == 1);
  network.layer(0).w.row(1, 4)[3] = infinity<T>();
  CHECK(find_nonfinite_layer(network) == 0);
}

TEST_CASE("regularisation that makes no sense is refused") {
  const auto refused = [](Regularisation r) {
    CHECK_THROWS_AS(Network<float>({3, 4, 2}, {kRelu, kIdentity}, Loss::mse, 0, std::move(r)), std::invalid_argument);
  };
  const double bad = nan<double>();
  for (const double p : {-0.1, 1.0, 2.0, bad}) {
    refused({p, 0, {}, 0});
    refused({0, 0, {{p, 0}, {0, 0}}, 0});
  }
  for (const double deviation : {-1.0, bad, infinity<double>()}) refused({0, deviation, {}, 0});
  for (const double most : {-1.0, bad}) refused({0, 0, {{0, most}, {0, 0}}, 0});
  refused({0, 0, {{0, 0}, {0.5, 0}}, 0});  // of the last layer
  refused({0, 0, {{0, 0}, {0, 0, Norm::layer}}, 0});
  refused({0, 0, {{0, 0}}, 0});
  const auto one_unit = [](Norm norm) {
    Network<float>({3, 1, 2}, {kRelu, kIdentity}, Loss::mse, 0, {0, 0, {{0, 0, norm}, {0, 0}}, 0});
  };
  CHECK_THROWS_AS(one_unit(Norm::layer), std::invalid_argument);  // whose normalised sum is always 0
  CHECK_NOTHROW(one_unit(Norm::batch));
}
