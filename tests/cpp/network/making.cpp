// How networks are made: their kernels and sizes; and what makes no sense is refused before anything happens. How their
// weights start is tested in network/initial.cpp.
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

TEST_CASE_TEMPLATE("layers without biases have no such array, and sums that begin with zeros", T, float, double) {
  const Network<T> network({4, 20, 33, 3}, {kRelu, kRelu, kIdentity}, Loss::mse, 0,
                           {0, 0, {{0, 0, Norm::layer}, {0, 0}, {0, 0}}, 0}, {false, false, true});
  const ParameterTable& table = network.table();
  for (const Index l : {0, 1, 2}) {
    const DenseLayer<T>& layer = network.layer(l);
    CHECK((table.find(ParameterKind::b, l) != nullptr) == (l == 2));
    CHECK(layer.biased == (l == 2));
    for (Index j = 0; j < panels(layer.fan_out) * kLanes; ++j) CHECK(layer.b[j] == 0);
  }
  CHECK(network.layer(0).vectors() == network.layer(0).gamma);
  CHECK(network.layer(2).vectors() == network.layer(2).b);
  const auto values = [&](Index group) { return table.groups()[static_cast<std::size_t>(group)].values; };
  CHECK(values(ParameterTable::group_of_vectors(0)) == 2 * 2 * kLanes);  // gamma and beta
  CHECK(values(ParameterTable::group_of_vectors(1)) == 0);
  CHECK(values(ParameterTable::group_of_vectors(2)) == kLanes);
  CHECK_FALSE(table == ParameterTable({4, 20, 33, 3}, {Norm::layer, Norm::none, Norm::none}));
  CHECK_THROWS_AS(Network<T>({3, 2}, {kRelu}, Loss::mse, 0, {}, {true, false}), std::invalid_argument);
}
