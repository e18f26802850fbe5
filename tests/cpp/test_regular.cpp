// Regularisation: its kernels against Philox and the library's functions one number at a time, each operand at a guard page;
// whole networks with it: the bits of any team and of the stages by hand, what divergence and interruption leave.
#include "guarded.h"
#include "networks.h"
#include "stages.h"
#include "tables.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

struct Spot {
  Draw draw;
  Index unit, row;
};

// The first block, one far into a large batch, and counters that fill their words.
const Spot kSpots[] = {{{0, 0, 0}, 0, 0},
                       {{0x123456789abcdef0u, 77, 0x13}, 48, 1040},
                       {{~0ull, ~0u, ~0u}, (Index{1} << 32) - 64, (Index{1} << 32) - 64}};

// call(kernels, units, lanes, spot, from, to) on every table, shape, spot and guard, `to` apart from `from` and the same,
// against the oracle.
template <class T, class Call>
void each_call(Call call) {
  Dice dice(31);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    const Kernels<T>&kernels = kernels_of<T>(*table), &oracle = oracle_of<T>(*table);
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(19)) {
        for (const Index lanes : sizes_to(kLanes)) {
          for (const Spot& at : kSpots) {
            const Values<T> from = dice.numbers<T>(units * kLanes);
            Values<T> want = from;
            call(oracle, units, static_cast<int>(lanes), at, from.data(), want.data());
            const Index written = (lanes + kernels.width - 1) / kernels.width * kernels.width;  // of each row
            for (const bool in_place : {false, true}) {
              memory.start(guard);
              T* to = memory.out(from);
              call(kernels, units, static_cast<int>(lanes), at, in_place ? to : memory.in(from), to);
              REQUIRE(memory.kept());
              for (Index i = 0; i < units * kLanes; ++i) {
                if (i % kLanes >= lanes && i % kLanes < written) continue;
                const T expected = want[static_cast<std::size_t>(i)];
                if (!same(to[i], expected)) {
                  FAIL(table->isa << words(" units", units) << words(" lanes", lanes) << ": value " << i << ": got " << to[i]
                                  << ", expected " << expected);
                }
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("stream_of: purpose, layer and step each have bits of their own") {
  CHECK(stream_of(Stream::dropout, 0, 0) == Stream::dropout);
  CHECK(static_cast<std::uint32_t>(stream_of(Stream::noise, 5, 0xffffffffu)) == (4u | 5u << 4));
  CHECK(static_cast<std::uint32_t>(stream_of(Stream::dropout, 0xffff, 0xfffull << 32)) == (3u | 0xffff0u | 0xfff00000u));
}

TEST_CASE_TEMPLATE("drop: the masks of Philox one number at a time, on every table", T, float, double) {
  for (const std::uint32_t threshold : {0x59999999u, 0u, 0xffffffffu}) {
    each_call<T>([=](const Kernels<T>& kernels, Index units, int lanes, const Spot& at, const T* from, T* to) {
      kernels.drop(units, lanes, at.draw, at.unit, at.row, threshold, T(1) / T(0.65), from, to);
    });
  }
}

TEST_CASE_TEMPLATE("drop: NaN and infinity stay where they are not dropped", T, float, double) {
  const Draw draw{9, 1, 3};
  for (const KernelTable* table : tested_tables()) {
    Values<T> a(4 * kLanes, nan<T>());
    for (std::size_t i = 0; i < a.size(); i += 2) a[i] = infinity<T>();
    Values<T> want = a;
    kernels_of<T>(*table).drop(4, kLanes, draw, 0, 0, 0x80000000u, T(2), a.data(), a.data());
    oracle_of<T>(*table).drop(4, kLanes, draw, 0, 0, 0x80000000u, T(2), want.data(), want.data());
    CHECK(same(a, want));
    CHECK(std::count(a.begin(), a.end(), T(0)) > 0);
  }
}

TEST_CASE_TEMPLATE("add_noise: the same numbers on every table", T, float, double) {
  each_call<T>([=](const Kernels<T>& kernels, Index units, int lanes, const Spot& at, const T* from, T* to) {
    kernels.add_noise(units, lanes, at.draw, at.unit, at.row, T(0.37), from, to);
  });
}

TEST_CASE_TEMPLATE("normal_pair: Box and Muller's formula with the library's functions", T, float, double) {
  // float has room for 23 bits of the radius's number and of a quarter of the circle
  constexpr int bits = sizeof(T) == 4 ? 23 : 32, lost = sizeof(T) == 4 ? 7 : 0;
  Dice dice(3);
  double worst = 0;
  for (int i = 0; i < 200000; ++i) {
    auto a = static_cast<std::uint32_t>(dice.word()), b = static_cast<std::uint32_t>(dice.word());
    if (i < 64) a = i % 2 ? ~0u : 0u, b = static_cast<std::uint32_t>(i / 2) << 27;
    T x, y;
    math::normal_pair<Scalar<T>>(a, b, x, y);
    const long double u = (static_cast<long double>(a >> (32 - bits)) + 0.5L) * std::ldexp(1.0L, -bits);
    const long double angle = (static_cast<long double>(b >> lost << lost) * 0x1p-30L - 0.5L) * 1.57079632679489661923L;
    const long double radius = std::sqrt(-2 * std::log(u));
    worst = std::max({worst, std::fabs(static_cast<double>(x - radius * std::cos(angle))),
                      std::fabs(static_cast<double>(y - radius * std::sin(angle)))});
  }
  MESSAGE("largest error of a normal number: " << worst);
  CHECK(worst < (sizeof(T) == 4 ? 1.5e-6 : 3e-15));
}

TEST_CASE_TEMPLATE("limit_norm: every height, on every table; at the limit, above it, beyond all numbers", T, float, double) {
  Dice dice(8);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    for (const Guard guard : kGuards) {
      for (const Index rows : sizes_to(37)) {
        Values<T> w = dice.numbers<T>(rows * kLanes);
        for (Index r = 0; r < rows; ++r) {
          T* row = &w[static_cast<std::size_t>(r * kLanes)];
          row[3] = r == 0 ? T(2) : T(0);                  // at the limit: nothing changes
          row[4] = std::numeric_limits<T>::max() / T(2);  // a square that overflows
          row[5] = r == 0 ? nan<T>() : row[5];
          row[6] = T(0);
          row[7] *= T(100);
        }
        Values<T> want = w;
        oracle_of<T>(*table).limit_norm(rows, want.data(), T(2));
        memory.start(guard);
        T* got = memory.out(w);
        kernels_of<T>(*table).limit_norm(rows, got, T(2));
        REQUIRE(memory.kept());
        for (Index i = 0; i < rows * kLanes; ++i) {
          const T expected = want[static_cast<std::size_t>(i)];
          if (!same(got[i], expected)) FAIL(table->isa << words(" rows", rows) << ": value " << i << ": " << got[i]);
        }
        CHECK(got[3] == T(2));
        CHECK(std::isnan(got[4]));
        double norm = 0;
        for (Index r = 0; r < rows; ++r)
          norm += static_cast<double>(got[r * kLanes + 7]) * static_cast<double>(got[r * kLanes + 7]);
        CHECK(std::sqrt(norm) < 2.000001);
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- whole networks

namespace {

Spec regular_spec(int which) {
  const Spec all[] = {{{21, 96, 40, 6}, {kTanh, kRelu, kIdentity}, Loss::cross_entropy, true},
                      {{5, 17, 3}, {kRelu, kIdentity}, Loss::mse},
                      {{300, 33, 50, 2}, {kLeaky, kSigmoid, kIdentity}, Loss::quadratic}};
  return all[which];
}

Regularisation all_of(const Spec& spec) {
  Regularisation r{0.1, 0.2, {}, 77};
  for (std::size_t l = 1; l < spec.sizes.size(); ++l) r.layers.push_back({l + 1 < spec.sizes.size() ? 0.3 : 0.0, 0.8});
  return r;
}

template <class T>
Network<T> regular_network(const Spec& spec, Regularisation regularisation) {
  const Network<T> plain = make_network<T>(spec);
  Network<T> network(spec.sizes, spec.activations, spec.loss, std::move(regularisation));
  std::copy_n(plain.parameters().data(), plain.parameters().size(), network.parameters().data());
  return network;
}

template <class T>
Trained<T> two_epochs(const Spec& spec, EpochArgs<T> args, int forced) {
  Network<T> network = regular_network<T>(spec, all_of(spec));
  Optimizer<T> state = make_optimizer(network);
  Trainer<T> trainer(network);
  Trained<T> result;
  args.forced = forced;
  for (args.epoch = 0; args.epoch < 2; ++args.epoch) {
    const EpochResult epoch = trainer.epoch(args, state);
    REQUIRE(epoch.end == EpochEnd::finished);
    result.loss += epoch.score.loss;
    result.metric += epoch.score.metric;
  }
  CHECK(network.steps == static_cast<std::uint64_t>(2 * ((args.x.rows + args.batch - 1) / args.batch)));
  result.parameters = copy_of(network.parameters());
  result.velocity = copy_of(state.state());
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("regularised training: any team, and the stages by hand, give the same bits", T, float, double) {
  for (int which = 0; which < 3; ++which) {
    const Spec spec = regular_spec(which);
    for (const Index batch : {1, 4, 16, 33, 64, 200}) {
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Data<T> data(spec, 2 * batch + batch / 2 + 1);
      const EpochArgs<T> args = arguments(data, batch);
      const Trained<T> one = two_epochs(spec, args, 1);
      for (const int team : {2, 3, 4}) CHECK(two_epochs(spec, args, team) == one);

      Network<T> network = regular_network<T>(spec, all_of(spec));
      Stages<T> stages(network);
      Optimizer<T> state = make_optimizer(network);
      StoredGradients<T> stored;
      for (std::uint32_t epoch = 0; epoch < 2; ++epoch) {
        std::vector<std::uint32_t> order(static_cast<std::size_t>(data.rows));
        permutation(args.seed, epoch, static_cast<std::uint32_t>(data.rows), order.data());
        for (Index start = 0; start < data.rows; start += batch) {
          const Data<T> part = data.batch(order, start, std::min(batch, data.rows - start));
          double loss = 0;
          REQUIRE(stages.forward(part.inputs_view(), 0, 2, {}, true));
          REQUIRE(stages.backward(part.targets(), loss, 0, 2, {}));
          apply_update(network, stages.work().gradients(), state, stored, 0);
        }
      }
      CHECK(same(copy_of(network.parameters()), one.parameters));
    }
  }
}

TEST_CASE_TEMPLATE("no regularisation asked for: the passes of training are those without", T, float, double) {
  const Spec spec = regular_spec(0);
  Regularisation none;
  none.layers.resize(spec.activations.size());
  none.seed = 5;
  const Data<T> data(spec, 100);
  Network<T> network = regular_network<T>(spec, none);
  CHECK_FALSE(network.perturbs());
  CHECK_FALSE(network.limits_norms());
  Optimizer<T> state = make_optimizer(network);
  EpochArgs<T> args = arguments(data, 32);
  Trainer<T> trainer(network);
  for (args.epoch = 0; args.epoch < 2; ++args.epoch) trainer.epoch(args, state);
  CHECK(same(copy_of(network.parameters()), trained(spec, arguments(data, 32), 1).parameters));
}

TEST_CASE_TEMPLATE("regularised training that diverges goes back to the start of the epoch, its steps too", T, float, double) {
  const Spec spec = regular_spec(1);
  const Data<T> data(spec, 100);
  Network<T> network = regular_network<T>(spec, all_of(spec));
  Optimizer<T> state = make_optimizer(network);
  Trainer<T> trainer(network);
  EpochArgs<T> args = arguments(data, 10);
  REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
  const std::vector<T> before = copy_of(network.parameters());
  CHECK(network.steps == 10);
  std::vector<T> bad = data.y;
  bad[150] = infinity<T>();
  args.y.rows = Data<T>::view(bad, data.rows, data.outputs);
  REQUIRE(trainer.epoch(args, state).end == EpochEnd::diverged);
  CHECK(network.steps == 10);
  CHECK(same(copy_of(network.parameters()), before));
}

TEST_CASE("regularisation that makes no sense is refused") {
  const auto refused = [](Regularisation r) {
    CHECK_THROWS_AS(Network<float>({3, 4, 2}, {kRelu, kIdentity}, Loss::mse, std::move(r)), std::invalid_argument);
  };
  const double bad = nan<double>();
  for (const double p : {-0.1, 1.0, 2.0, bad}) {
    refused({p, 0, {}, 0});
    refused({0, 0, {{p, 0}, {0, 0}}, 0});
  }
  for (const double deviation : {-1.0, bad, infinity<double>()}) refused({0, deviation, {}, 0});
  for (const double most : {-1.0, bad}) refused({0, 0, {{0, most}, {0, 0}}, 0});
  refused({0, 0, {{0, 0}, {0.5, 0}}, 0});  // of the last layer
  refused({0, 0, {{0, 0}}, 0});
}
