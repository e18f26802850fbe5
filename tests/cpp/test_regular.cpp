// Regularisation: its kernels against Philox and the library's functions one number at a time, each operand at a guard page;
// whole networks with it: the bits of any team and of the stages by hand, what divergence and interruption leave.
#include "guarded.h"
#include "networks.h"
#include "network/stages.h"
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

namespace {

// [units][16] of which the first `lanes` of each row are promised, and what lies past the vector that holds them is untouched.
template <class T>
void expect_rows(const KernelTable& table, const T* got, const Values<T>& want, Index lanes, const std::string& what) {
  const Index width = kernels_of<T>(table).width, written = (lanes + width - 1) / width * width;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const Index lane = static_cast<Index>(i) % kLanes;
    if (lane >= lanes && lane < written) continue;
    if (!same(got[i], want[i])) FAIL(table.isa << " " << what << ": value " << i << ": " << got[i] << ", expected " << want[i]);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("normalise_rows and denormalise_rows: every shape, on every table", T, float, double) {
  Dice dice(41);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    const Kernels<T>&kernels = kernels_of<T>(*table), &oracle = oracle_of<T>(*table);
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(37)) {
        for (const Index lanes : sizes_to(kLanes)) {
          const std::string what = words("units", units) + words(" lanes", lanes);
          const int n = static_cast<int>(lanes);
          const Values<T> gamma = dice.numbers<T>(units), beta = dice.numbers<T>(units), z = dice.numbers<T>(units * kLanes);
          Values<T> hat = z, rstd = dice.numbers<T>(kLanes), a = z;
          memory.start(guard);
          const T *g = memory.in(gamma), *b = memory.in(beta);
          T *got_a = memory.out(a), *got_hat = memory.out(hat), *got_rstd = memory.out(rstd);
          kernels.normalise_rows(units, n, T(1e-5), g, b, got_a, got_hat, got_rstd, got_a);  // in place
          oracle.normalise_rows(units, n, T(1e-5), gamma.data(), beta.data(), z.data(), hat.data(), rstd.data(), a.data());
          REQUIRE(memory.kept());
          expect_rows(*table, got_a, a, lanes, what);
          expect_rows(*table, got_hat, hat, lanes, what);
          expect_rows(*table, got_rstd, rstd, lanes, what);

          memory.start(guard);
          T* plain = memory.out(z);
          kernels.normalise_rows(units, n, T(1e-5), memory.in(gamma), memory.in(beta), memory.in(z), nullptr, nullptr, plain);
          REQUIRE(memory.kept());
          expect_rows(*table, plain, a, lanes, what);

          Values<T> d = dice.numbers<T>(units * kLanes), product = z;
          memory.start(guard);
          T *got_d = memory.out(d), *got_product = memory.out(product);
          kernels.denormalise_rows(units, n, memory.in(gamma), memory.in(hat), memory.in(rstd), got_d, got_product);
          oracle.denormalise_rows(units, n, gamma.data(), hat.data(), rstd.data(), d.data(), product.data());
          REQUIRE(memory.kept());
          expect_rows(*table, got_d, d, lanes, what);
          expect_rows(*table, got_product, product, lanes, what);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("unit_sums: every number of units and rows, on every table; lanes past the last row do not count", T, float,
                   double) {
  Dice dice(43);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(kLanes)) {
        for (const Index rows : sizes_to(49)) {
          // panels with nothing behind the last row of units, and NaN in the lanes past the last row
          const Index height = units + 3, count = (panels(rows) - 1) * height * kLanes + units * kLanes;
          Values<T> x = dice.numbers<T>(count), y = dice.numbers<T>(count), centre = dice.numbers<T>(units);
          for (Index u = 0; u < units; ++u) {
            for (Index i = (rows - 1) % kLanes + 1; i < kLanes; ++i) {
              const auto place = static_cast<std::size_t>(count - units * kLanes + u * kLanes + i);
              x[place] = y[place] = nan<T>();
            }
          }
          for (int kind = 0; kind < 3; ++kind) {
            Values<T> out = dice.numbers<T>(kLanes);
            memory.start(guard);
            T* got = memory.out(out);
            const Panels<const T> px{memory.in(x), height}, py{kind == 1 ? memory.in(y) : nullptr, height};
            kernels_of<T>(*table).unit_sums(units, rows, px, py, kind == 2 ? memory.in(centre) : nullptr, got);
            oracle_of<T>(*table).unit_sums(units, rows, {x.data(), height}, {kind == 1 ? y.data() : nullptr, height},
                                           kind == 2 ? centre.data() : nullptr, out.data());
            REQUIRE(memory.kept());
            expect_rows(*table, got, out, kLanes, words("units", units) + words(" rows", rows) + words(" kind", kind));
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("normalise_units and denormalise_units: every shape, on every table", T, float, double) {
  Dice dice(47);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    const Kernels<T>&kernels = kernels_of<T>(*table), &oracle = oracle_of<T>(*table);
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(kLanes)) {
        for (const Index lanes : sizes_to(kLanes)) {
          const std::string what = words("units", units) + words(" lanes", lanes);
          const int n = static_cast<int>(lanes);
          const Values<T> mean = dice.numbers<T>(units), rstd = dice.numbers<T>(units), gamma = dice.numbers<T>(units),
                          beta = dice.numbers<T>(units), z = dice.numbers<T>(units * kLanes);
          for (const bool keep : {true, false}) {
            Values<T> hat = z, a = z;
            memory.start(guard);
            T *got_a = memory.out(a), *got_hat = keep ? memory.out(hat) : nullptr;
            kernels.normalise_units(units, n, memory.in(mean), memory.in(rstd), memory.in(gamma), memory.in(beta), got_a,
                                    got_hat, got_a);
            oracle.normalise_units(units, n, mean.data(), rstd.data(), gamma.data(), beta.data(), z.data(),
                                   keep ? hat.data() : nullptr, a.data());
            REQUIRE(memory.kept());
            expect_rows(*table, got_a, a, lanes, what);
            if (keep) expect_rows(*table, got_hat, hat, lanes, what);
          }
          Values<T> d = dice.numbers<T>(units * kLanes);
          memory.start(guard);
          T* got_d = memory.out(d);
          kernels.denormalise_units(units, n, memory.in(mean), memory.in(rstd), memory.in(gamma), memory.in(z), got_d);
          oracle.denormalise_units(units, n, mean.data(), rstd.data(), gamma.data(), z.data(), d.data());
          REQUIRE(memory.kept());
          expect_rows(*table, got_d, d, lanes, what);
        }
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

// Everything at once; `norms`: of the hidden layers in turn.
Regularisation all_of(const Spec& spec, std::vector<Norm> norms = {Norm::none}) {
  Regularisation r{0.1, 0.2, {}, 77};
  for (std::size_t l = 1; l < spec.sizes.size(); ++l) {
    const bool hidden = l + 1 < spec.sizes.size();
    r.layers.push_back({hidden ? 0.3 : 0.0, 0.8, hidden ? norms[(l - 1) % norms.size()] : Norm::none});
  }
  return r;
}

const std::vector<std::vector<Norm>> kNorms = {
    {Norm::none}, {Norm::layer}, {Norm::batch}, {Norm::layer, Norm::batch}, {Norm::batch, Norm::layer}};

template <class T>
Network<T> regular_network(const Spec& spec, Regularisation regularisation) {
  const Network<T> plain = make_network<T>(spec);
  Network<T> network(spec.sizes, spec.activations, spec.loss, parameter_of(spec), std::move(regularisation));
  for (Index l = 0; l < network.depth(); ++l) {
    const DenseLayer<T>&from = plain.layer(l), &to = network.layer(l);
    std::copy_n(from.w.data, from.b - from.w.data + panels(from.fan_out) * kLanes, to.w.data);
  }
  return network;
}

template <class T>
Trained<T> two_epochs(const Spec& spec, const std::vector<Norm>& norms, EpochArgs<T> args, int forced) {
  Network<T> network = regular_network<T>(spec, all_of(spec, norms));
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
  for (const T value : copy_of(network.statistics())) result.velocity.push_back(value);
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("regularised training: any team, and the stages by hand, give the same bits", T, float, double) {
  for (std::size_t turn = 0; turn < 3 * kNorms.size(); ++turn) {
    const Spec spec = regular_spec(static_cast<int>(turn % 3));
    const std::vector<Norm>& norms = kNorms[turn % kNorms.size()];
    for (const Index batch : {1, 4, 16, 33, 64, 200}) {
      if (batch == 1 && turn % kNorms.size() > 1) continue;  // no variance
      CAPTURE(spec.describe());
      CAPTURE(turn);
      CAPTURE(batch);
      const Data<T> data(spec, 2 * batch + batch / 2 + 2);
      const EpochArgs<T> args = arguments(data, batch);
      const Trained<T> one = two_epochs(spec, norms, args, 1);
      for (const int team : {2, 3, 4}) CHECK(two_epochs(spec, norms, args, team) == one);

      Network<T> network = regular_network<T>(spec, all_of(spec, norms));
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
      const std::vector<T> statistics = copy_of(network.statistics());
      CHECK(std::equal(statistics.rbegin(), statistics.rend(), one.velocity.rbegin(), same<T>));
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
  Network<T> network = regular_network<T>(spec, all_of(spec, {Norm::batch}));
  Optimizer<T> state = make_optimizer(network);
  Trainer<T> trainer(network);
  EpochArgs<T> args = arguments(data, 10);
  REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
  const std::vector<T> before = copy_of(network.parameters()), statistics = copy_of(network.statistics());
  CHECK(network.steps == 10);
  std::vector<T> bad = data.y;
  bad.back() = infinity<T>();  // of the last batch: nine steps have been taken then
  args.shuffle = false;
  args.y.rows = Data<T>::view(bad, data.rows, data.outputs);
  for (const bool in_parts : {false, true}) {  // the part that diverges begins in the midst of the epoch
    CAPTURE(in_parts);
    if (in_parts) {
      args.last = 4;
      REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
      CHECK(network.steps == 14);
      args.first = 4;
      args.last = -1;
    }
    REQUIRE(trainer.epoch(args, state).end == EpochEnd::diverged);
    CHECK(network.steps == 10);
    CHECK(same(copy_of(network.parameters()), before));
    CHECK(same(copy_of(network.statistics()), statistics));
  }
}

TEST_CASE_TEMPLATE("batch normalisation: a batch of one row is refused before anything happens", T, float, double) {
  const Spec spec = regular_spec(1);
  Network<T> network = regular_network<T>(spec, all_of(spec, {Norm::batch}));
  Optimizer<T> state = make_optimizer(network);
  const std::vector<T> before = copy_of(network.parameters()), statistics = copy_of(network.statistics());
  for (const Index batch : {1, 5}) {
    const Data<T> data(spec, 11);
    CHECK_THROWS_AS(Trainer<T>(network).epoch(arguments(data, batch), state), std::invalid_argument);
  }
  const Data<T> one(spec, 1);
  Stages<T> stages(network);
  CHECK_THROWS_AS(stages.forward(one.inputs_view(), 0, 0, {}, true), std::invalid_argument);
  CHECK(stages.forward(one.inputs_view(), 0, 0, {}));
  CHECK(same(copy_of(network.parameters()), before));
  CHECK(same(copy_of(network.statistics()), statistics));
}

TEST_CASE_TEMPLATE("frozen weights are left alone by the limit on norms", T, float, double) {
  const Spec spec = regular_spec(1);
  Network<T> network = regular_network<T>(spec, all_of(spec));
  Optimizer<T> state(network);
  state.configure(sgd(), {{1, 0, 0, true}, {}, {}, {}});
  const std::vector<T> before = unpacked_lanes(network.layer(0).w, 5, 17);
  const Data<T> data(spec, 20);
  REQUIRE(Trainer<T>(network).epoch(arguments(data, 10), state).end == EpochEnd::finished);
  CHECK(same(unpacked_lanes(network.layer(0).w, 5, 17), before));
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
}
