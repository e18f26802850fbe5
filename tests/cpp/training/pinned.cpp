// The bits of trainings, pinned.
#include "support/networks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

template <class T>
void check_bits(const Spec& spec, Index rows, Index batch, const OptimizerSettings& settings, std::uint64_t float32,
                std::uint64_t float64) {
  const Data<T> data(spec, rows);
  for (const int team : {1, 3}) {
    CAPTURE(spec.describe());
    CAPTURE(team);
    Network<T> network = make_network<T>(spec);
    Trainer<T> trainer(network);
    Optimizer<T> state = make_optimizer(network, settings);
    EpochArgs<T> args = arguments(data, batch);
    args.threads.exactly = team;
    for (args.epoch = 0; args.epoch < 3; ++args.epoch) REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
    CHECK(weights_hash(network) == (sizeof(T) == 4 ? float32 : float64));
  }
}

}  // namespace

// Data, weights and steps are made of operations that every machine rounds alike; libm is not used.
TEST_CASE_TEMPLATE("training: the bits that every table with fused multiply-add has given so far", T, float, double) {
  if (!active_table().fused) return;
  check_bits<T>({{64, 64, 10}, {kRelu, kIdentity}, Loss::cross_entropy, true}, 150, 32, sgd(0.05, 0.9, 0, false),
                0x22f53cbc7ef9cb05, 0xa61433a939b2e48d);
  check_bits<T>({{13, 33, 17, 5}, {kTanh, kSigmoid, kSoftmax}, Loss::cross_entropy}, 100, 7, sgd(0.05, 0.9, 0.001, true),
                0xe98679211c62ff3d, 0xa67bcc56d8af911a);
  check_bits<T>({{31, 50, 4}, {kLeaky, kTanh}, Loss::mse}, 90, 20, sgd(0.05, 0.5, 0, false), 0x5370401e2d88262b,
                0xfc3b5f4206f218f1);
  check_bits<T>({{300, 130, 20}, {kSigmoid, kSigmoid}, Loss::binary_cross_entropy}, 210, 70, sgd(0.05, 0, 0, false),
                0x931c0da84aaf4841, 0xda55cf4426d198c6);
  check_bits<T>({{40, 200, 16, 3}, {kRelu, kLeaky, kIdentity}, Loss::quadratic}, 130, 64, sgd(0.05, 0.9, 0.01, false),
                0xab957b284ece9978, 0x384e0459d7f95c0c);
}

TEST_CASE_TEMPLATE("optimisers: the bits that every table with fused multiply-add has given so far", T, float, double) {
  if (!active_table().fused) return;
  const Spec wide{{40, 200, 16, 3}, {kRelu, kLeaky, kIdentity}, Loss::quadratic},
      small{{13, 33, 17, 5}, {kTanh, kSigmoid, kSoftmax}, Loss::cross_entropy};
  check_bits<T>(wide, 130, 64, settings_of(Rule::adam), 0x61c08d569dfa46a2, 0xf7f145afbe151368);
  check_bits<T>(small, 100, 7, settings_of(Rule::adam), 0x7b665adb03128b25, 0x3b8537a99bb6f547);
  check_bits<T>(wide, 130, 64, settings_of(Rule::rmsprop), 0xa1fcdcf096658bab, 0xc7d2db1ec04adc75);
  check_bits<T>(wide, 130, 64, settings_of(Rule::adagrad), 0x2ecfcaf68d15773a, 0xa0a6c63cfefe5af7);
  check_bits<T>(wide, 130, 3, settings_of(Rule::lion), 0x540078cd8c09634d, 0x40cbe1e0f4ddd672);
  check_bits<T>(wide, 130, 64, every_term_of_sgd(), 0xf15bfd5981ecf93c, 0xb7d95ff8f01caec6);
}

TEST_CASE_TEMPLATE("a thousand steps: the bits that every table with fused multiply-add has given so far", T, float, double) {
  if (!active_table().fused) return;
  const Spec spec{{13, 20, 18, 5}, {kRelu, kTanh, kIdentity}, Loss::mse};
  const Data<T> data(spec, 896);
  for (const int team : {1, 2}) {
    Network<T> network = make_network<T>(spec);
    Trainer<T> trainer(network);
    Optimizer<T> state = make_optimizer(network, sgd(0.01));
    EpochArgs<T> args = arguments(data, 9);
    args.threads.exactly = team;
    for (args.epoch = 0; args.epoch < 10; ++args.epoch) REQUIRE(trainer.epoch(args, state).steps == 100);
    CHECK(weights_hash(network) == (sizeof(T) == 4 ? 0xfed4345f326fd675u : 0xcf0c7cb9dca4579fu));
  }
}

TEST_CASE_TEMPLATE("weights of rows, averages: the bits that every table with fused multiply-add has given so far", T, float,
                   double) {
  if (!active_table().fused) return;
  struct Pinned {
    bool by_batch;
    std::uint64_t network[2], average[2];  // float32, float64
  };
  const Pinned all[] = {{false, {0x2856bc987cf666c4, 0xce14e04aa663f4e4}, {0xedf9f87b4ed66548, 0x80f3b066111aa32f}},
                        {true, {0xb70a7c9287fe4f85, 0xc9dc903c34c6d778}, {0x8432290c22635897, 0x50180fd0ea9e2faf}}};
  const Spec spec{{13, 33, 17, 5}, {kTanh, kRelu, kIdentity}, Loss::cross_entropy, true};
  const Data<T> data(spec, 100);
  std::vector<T> weights;
  for (int r = 0; r < 100; ++r) weights.push_back(static_cast<T>(r % 5) / T(2));  // their mean is 1
  for (const Pinned& pinned : all) {
    for (const int team : {1, 3}) {
      CAPTURE(pinned.by_batch);
      Network<T> network = make_network<T>(spec), average = make_network<T>(spec);
      Trainer<T> trainer(network);
      Optimizer<T> state = make_optimizer(network, sgd(0.05, 0.9, 0, false));
      EpochArgs<T> args = arguments(data, 7);
      args.y.row_weights = Data<T>::view(weights, 100, 1);
      args.y.by_batch = pinned.by_batch;
      args.average = &average;
      args.tau = 0.1;
      args.threads.exactly = team;
      for (args.epoch = 0; args.epoch < 3; ++args.epoch) REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
      CHECK(weights_hash(network) == pinned.network[sizeof(T) / 8]);
      CHECK(weights_hash(average) == pinned.average[sizeof(T) / 8]);
    }
  }
}
