// Whole networks: the fused epoch against the stages by hand, threads, slices and sources that must not change a bit, the
// gradient against differences of a plain loss in long double, pinned bits, interruption, divergence, sizes that overflow.
#include "networks.h"
#include "oracle.h"
#include "network/stages.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

constexpr int kTeams[] = {1, 2, 3, 4, 7};

std::vector<Index> batches() {
  return few_sizes() ? std::vector<Index>{1, 15, 17, 64} : std::vector<Index>{1, 3, 8, 15, 16, 17, 33, 64, 300};
}

// Rows for a batch: more than one of them, the last one smaller.
Index rows_for(Index batch) { return batch < 100 ? 2 * batch + (batch + 1) / 2 : batch + 17; }

}  // namespace

// ---------------------------------------------------------------------------------------------- the epoch

TEST_CASE("the network runs on the kernels that were chosen") {
  const Network<float> network({2, 1}, {kRelu}, Loss::mse);
  CHECK((network.kernels().forward == table_named(std::getenv("RETROGRAD_ISA")).f32.forward));
}

TEST_CASE_TEMPLATE("epoch: the same bits for every team, and from run to run", T, float, double) {
  std::size_t turn = 0;
  for (const Spec& spec : specs()) {
    for (const Index batch : batches()) {
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Data<T> data(spec, rows_for(batch));
      const Trained<T> alone = trained(spec, arguments(data, batch), 1);
      for (int i = 0; i < 2; ++i) {  // the teams take turns over networks and batches
        const int team = kTeams[turn++ % std::size(kTeams)];
        CAPTURE(team);
        CHECK(trained(spec, arguments(data, batch), team) == alone);
      }
      EpochArgs<T> free = arguments(data, batch);
      free.n_threads = 2;
      CHECK(trained(spec, free, 0) == alone);
    }
  }
}

namespace {

std::vector<OptimizerSettings> kinds_of_update() {
  std::vector<OptimizerSettings> kinds = {sgd(0.05, 0, 0), sgd(0.05, 0.9, 0), sgd(0.05, 0.9, 0.01, true), sgd(0.05, 0, 0.01),
                                          every_term_of_sgd()};
  for (const Rule rule : {Rule::adam, Rule::rmsprop, Rule::adagrad, Rule::lion}) kinds.push_back(settings_of(rule));
  return kinds;
}

// One epoch by hand: forward, backward, update, in batches of the epoch's own order.
template <class T>
Trained<T> by_hand(const Spec& spec, const Data<T>& data, const EpochArgs<T>& args, const OptimizerSettings& settings) {
  Network<T> network = make_network<T>(spec);
  Stages<T> stages(network);
  Optimizer<T> state = make_optimizer(network, settings);
  StoredGradients<T> stored;
  Trained<T> result;
  std::vector<std::uint32_t> order(static_cast<std::size_t>(data.rows));
  permutation(args.seed, args.epoch, static_cast<std::uint32_t>(data.rows), order.data());
  for (Index start = 0; start < data.rows; start += args.batch) {
    const Data<T> part = data.batch(order, start, std::min(args.batch, data.rows - start));
    double loss = 0;
    REQUIRE(stages.forward(part.inputs_view(), 0, args.forced, {}));
    REQUIRE(stages.backward(part.targets(), loss, 0, args.forced, {}));
    CHECK(stages.has_forward());
    CHECK(stages.has_backward());
    CHECK(stages.rows() == part.rows);
    CHECK(stages.version() == network.version);
    apply_update(network, stages.work().gradients(), state, stored, 0);
    CHECK(stages.version() != network.version);
    const Score score = batch_score(stages.work(), part.rows);
    CHECK(loss == score.loss / static_cast<double>(part.rows));
    result.loss += score.loss;
    result.metric += score.metric;
  }
  result.parameters = copy_of(network.parameters());
  result.velocity = copy_of(state.state());
  return result;
}

}  // namespace

TEST_CASE_TEMPLATE("epoch: the bits of the three stages by hand", T, float, double) {
  const std::vector<OptimizerSettings> kinds = kinds_of_update();
  std::size_t turn = 0;
  for (const Spec& spec : specs()) {
    for (const Index batch : batches()) {
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Data<T> data(spec, rows_for(batch));
      EpochArgs<T> args = arguments(data, batch);
      const OptimizerSettings& settings = kinds[turn++ % kinds.size()];
      args.epoch = 3;
      args.forced = kTeams[turn % std::size(kTeams)];
      Network<T> network = make_network<T>(spec);
      Optimizer<T> state = make_optimizer(network, settings);
      const EpochResult epoch = Trainer<T>(network).epoch(args, state);
      const Trained<T> fused{copy_of(network.parameters()), copy_of(state.state()), epoch.score.loss, epoch.score.metric};
      CHECK(by_hand(spec, data, args, settings) == fused);
    }
  }
}

namespace {

// The same numbers as S, `gap` values between rows that run backwards.
template <class S, class T>
struct Recast {
  std::vector<S> values;
  Rows view;

  Recast(const std::vector<T>& from, Index rows, Index cols, Index gap) {
    const Index step = cols + gap;
    values.assign(static_cast<std::size_t>(rows * step), S(99));
    for (Index r = 0; r < rows; ++r) {
      for (Index k = 0; k < cols; ++k) {
        values[static_cast<std::size_t>((rows - 1 - r) * step + k)] =
            static_cast<S>(from[static_cast<std::size_t>(r * cols + k)]);
      }
    }
    view = {values.data() + (rows - 1) * step, rows, cols, -step * static_cast<Index>(sizeof(S)), source_kind<S>};
  }
};

}  // namespace

TEST_CASE_TEMPLATE("epoch: the same bits from float32, float64 and uint8, and from rows in any place", T, float, double) {
  const Spec few_inputs{{11, 9, 2}, {kTanh, kIdentity}, Loss::mse}, many_inputs{{530, 18, 2}, {kTanh, kIdentity}, Loss::mse};
  for (const Index batch : batches()) {
    const Spec& spec = batch == 17 || batch == 64 ? many_inputs : few_inputs;
    CAPTURE(spec.describe());
    CAPTURE(batch);
    Data<T> data(spec, rows_for(batch));
    for (T& v : data.x) v = std::floor((v + T(1)) * T(4));  // whole numbers, which every source holds
    for (T& v : data.y) v = std::floor((v + T(1)) * T(4));
    EpochArgs<T> args = arguments(data, batch);
    const Trained<T> plain = trained(spec, args, 2);
    const auto check = [&](auto like) {
      using S = decltype(like);
      for (const Index gap : {0, 3}) {
        CAPTURE(gap);
        const Recast<S, T> x(data.x, data.rows, data.inputs, gap), y(data.y, data.rows, data.outputs, gap);
        args.x = x.view;
        args.y.rows = y.view;
        CHECK(trained(spec, args, 2) == plain);
        Network<T> network = make_network<T>(spec);
        std::vector<T> ours(data.y.size()), theirs(data.y.size());
        REQUIRE(predict(network, data.inputs_view(), false, ours.data(), 0, 2, {}));
        REQUIRE(predict(network, x.view, false, theirs.data(), 0, 2, {}));
        CHECK(same(ours, theirs));
      }
    };
    check(float{});
    check(double{});
    check(std::uint8_t{});
  }
}

// Padding stays as it was made: gradients, state and weights are copied and compared as a whole.
TEST_CASE_TEMPLATE("epoch: padding of weights and state stays as it was, with every kind of update", T, float, double) {
  // the last panel of 81 units has one of them, and comes where whole panels went before
  const Spec spec{{64, 81, 3}, {kTanh, kIdentity}, Loss::mse};
  const Data<T> data(spec, 40);
  for (const OptimizerSettings& settings : kinds_of_update()) {
    CAPTURE(static_cast<int>(settings.rule));
    Network<T> network = make_network<T>(spec);
    Optimizer<T> state = make_optimizer(network, settings);
    REQUIRE(Trainer<T>(network).epoch(arguments(data, 16), state).end == EpochEnd::finished);
    Index real = 0;
    for (const DenseLayer<T>& layer : network.layers()) real += (layer.fan_in + 1) * layer.fan_out;
    for (const Arena<T>* arena : {&network.parameters(), &state.state()}) {
      const std::vector<T> all = copy_of(*arena);
      const auto size = static_cast<Index>(all.size()), planes = size / network.parameters().size();
      const bool adagrad = arena == &state.state() && settings.rule == Rule::adagrad;
      const T padding = adagrad ? static_cast<T>(settings.initial) : T(0);
      CHECK(static_cast<Index>(std::count(all.begin(), all.end(), padding)) == size - planes * real);
    }
  }
}

// ---------------------------------------------------------------------------------------------- pinned bits

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
    args.forced = team;
    for (args.epoch = 0; args.epoch < 3; ++args.epoch) REQUIRE(trainer.epoch(args, state).end == EpochEnd::finished);
    CHECK(weights_hash(network) == (sizeof(T) == 4 ? float32 : float64));
  }
}

}  // namespace

// Data, weights and steps are made of operations that every machine rounds alike; libm has no part in them.
TEST_CASE_TEMPLATE("training: the bits that every table with fused multiply-add has given so far", T, float, double) {
  if (!active_table().fused) return;
  check_bits<T>({{64, 64, 10}, {kRelu, kIdentity}, Loss::cross_entropy, true}, 150, 32, sgd(0.05, 0.9, 0, false),
                0x22f53cbc7ef9cb05, 0xa61433a939b2e48d);
  check_bits<T>({{13, 33, 17, 5}, {kTanh, kSigmoid, kSoftmax}, Loss::cross_entropy}, 100, 7, sgd(0.05, 0.9, 0.001, true),
                0x2a6d55319d1693b1, 0xb07b984ca51bb76b);
  check_bits<T>({{31, 50, 4}, {kLeaky, kTanh}, Loss::mse}, 90, 20, sgd(0.05, 0.5, 0, false), 0x7359e3e5392dd3bc,
                0xc38e3c7f7f62647a);
  check_bits<T>({{300, 130, 20}, {kSigmoid, kSigmoid}, Loss::binary_cross_entropy}, 210, 70, sgd(0.05, 0, 0, false),
                0x6e91d8436d1991d4, 0xdc2a4b8698db1831);
  check_bits<T>({{40, 200, 16, 3}, {kRelu, kLeaky, kIdentity}, Loss::quadratic}, 130, 64, sgd(0.05, 0.9, 0.01, false),
                0xab957b284ece9978, 0x384e0459d7f95c0c);
}

TEST_CASE_TEMPLATE("optimisers: the bits that every table with fused multiply-add has given so far", T, float, double) {
  if (!active_table().fused) return;
  const Spec wide{{40, 200, 16, 3}, {kRelu, kLeaky, kIdentity}, Loss::quadratic},
      small{{13, 33, 17, 5}, {kTanh, kSigmoid, kSoftmax}, Loss::cross_entropy};
  check_bits<T>(wide, 130, 64, settings_of(Rule::adam), 0x61c08d569dfa46a2, 0xf7f145afbe151368);
  check_bits<T>(small, 100, 7, settings_of(Rule::adam), 0xde741538f773ebf8, 0xf38766936c44b686);
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
    args.forced = team;
    for (args.epoch = 0; args.epoch < 10; ++args.epoch) REQUIRE(trainer.epoch(args, state).steps == 100);
    CHECK(weights_hash(network) == (sizeof(T) == 4 ? 0xbf226b5094b1feafu : 0x7c87f9f22fa512fau));
  }
}

// ---------------------------------------------------------------------------------------------- the gradient

namespace {

// A network in long double with libm, weights as the real one holds them: the loss of rows and nothing else.
struct Plain {
  using Number = long double;
  std::vector<std::vector<Number>> w, b;  // [layer][fan_in * fan_out], [layer][fan_out]
  std::vector<Index> sizes;
  std::vector<Activation> activations;
  Loss loss;
  bool labels;
  Number parameter;

  template <class T>
  Plain(const Network<T>& network, const Spec& spec)
      : sizes(spec.sizes),
        activations(spec.activations),
        loss(spec.loss),
        labels(spec.labels),
        parameter(network.loss_parameter()) {
    for (const DenseLayer<T>& layer : network.layers()) {
      w.emplace_back();
      b.emplace_back(layer.b, layer.b + layer.fan_out);
      for (Index i = 0; i < layer.fan_in; ++i) {
        for (Index j = 0; j < layer.fan_out; ++j) w.back().push_back(layer.w.row(j / kLanes, i)[j % kLanes]);
      }
    }
  }

  static void activate(std::vector<Number>& z, Activation f) {
    Number high = z[0], sum = 0;
    for (const Number v : z) high = std::max(high, v);
    for (Number& v : z) {
      if (f == kRelu) v = v < 0 ? 0 : v;
      if (f == kLeaky) v = v < 0 ? static_cast<Number>(kLeakySlope) * v : v;
      if (f == kTanh) v = std::tanh(v);
      if (f == kSigmoid) v = 1 / (1 + std::exp(-v));
      if (f == Activation::elu && v < 0) v = std::expm1(v);
      if (f == Activation::selu) v = Number(kSeluScale) * (v < 0 ? Number(kSeluAlpha) * std::expm1(v) : v);
      if (f == Activation::softplus) v = std::log1p(std::exp(v));
      if (f == Activation::softsign) v = v / (1 + std::fabs(v));
      if (f == Activation::exponential) v = std::exp(v);
      if (f == Activation::gelu) v = v * std::erfc(-v / std::sqrt(Number(2))) / 2;
      if (f == Activation::gelu_tanh)
        v = v * (1 + std::tanh(std::sqrt(2 / std::acos(Number(-1))) * (v + 0.044715L * v * v * v))) / 2;
      if (f == Activation::silu) v = v / (1 + std::exp(-v));
      if (f == Activation::mish) v = v * std::tanh(std::log1p(std::exp(v)));
      if (f == kSoftmax) sum += v = std::exp(v - high);
    }
    for (Number& v : z) {
      if (f == kSoftmax) v /= sum;
    }
  }

  // What the last layer gives, its own activation (softmax or sigmoid of the loss, too) applied where `activated`.
  std::vector<Number> outputs(std::vector<Number> a, bool activated) const {
    for (std::size_t l = 0; l < w.size(); ++l) {
      std::vector<Number> z = b[l];
      for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < z.size(); ++j) z[j] += a[i] * w[l][i * z.size() + j];
      }
      if (l + 1 < w.size() || activated) activate(z, activations[l]);
      a = z;
    }
    return a;
  }

  bool takes_logits() const {
    return loss == Loss::cross_entropy || loss == Loss::binary_cross_entropy || loss == Loss::focal || loss == Loss::poisson;
  }
  bool is_classifier() const { return loss != Loss::poisson && (takes_logits() || loss == Loss::hinge); }

  Number row_loss(const std::vector<Number>& x, const std::vector<Number>& t) const {
    const std::vector<Number> a = outputs(x, !takes_logits());
    const Number n = static_cast<Number>(a.size());
    Number sum = 0, total = 0;
    for (const Number z : a) sum += std::exp(z);
    Number mine = 0;
    for (std::size_t j = 0; j < a.size(); ++j) mine += t[j] * a[j];  // with labels
    for (std::size_t j = 0; j < a.size(); ++j) {
      const Number e = a[j] - t[j], size = std::fabs(e);
      if (loss == Loss::mae) total += size / n;
      if (loss == Loss::huber) total += (size <= parameter ? e * e / 2 : parameter * (size - parameter / 2)) / n;
      if (loss == Loss::quantile) total += std::max(-parameter * e, (1 - parameter) * e) / n;
      if (loss == Loss::poisson) total += (std::exp(a[j]) - t[j] * a[j]) / n;
      if (loss == Loss::hinge && labels) total += t[j] == 1 ? 0 : std::max(Number(0), 1 - mine + a[j]) / n;
      if (loss == Loss::hinge && !labels) total += std::max(Number(0), 1 - t[j] * a[j]) / n;
      if (loss == Loss::focal) {
        total += t[j] * std::pow(1 - std::exp(a[j]) / sum, parameter) * (std::log(sum) - a[j]);
      }
      if (loss == Loss::mse) total += (a[j] - t[j]) * (a[j] - t[j]) / n;
      if (loss == Loss::quadratic) total += (a[j] - t[j]) * (a[j] - t[j]) / 2;
      if (loss == Loss::cross_entropy) total += ((1 - parameter) * t[j] + parameter / n) * (std::log(sum) - a[j]);
      if (loss == Loss::binary_cross_entropy) total += (std::log1p(std::exp(a[j])) - a[j] * t[j]) / n;
    }
    return total;
  }

  template <class T>
  Number total_loss(const Data<T>& data) const {
    Number total = 0;
    for (Index r = 0; r < data.rows; ++r) total += row_loss(row(data.x, r, data.inputs), target(data, r));
    return total;
  }

  template <class T>
  static std::vector<Number> row(const std::vector<T>& values, Index r, Index cols) {
    return {values.begin() + r * cols, values.begin() + (r + 1) * cols};
  }
  template <class T>
  static std::vector<Number> target(const Data<T>& data, Index r) {
    if (!data.labels) return row(data.y, r, data.outputs);
    std::vector<Number> t(static_cast<std::size_t>(data.outputs));
    t[static_cast<std::size_t>(data.label[static_cast<std::size_t>(r)])] = 1;
    return t;
  }
};

constexpr long double kNudge = 1e-6L;

// d f / d value by a central difference.
template <class F>
long double slope(long double& value, F f) {
  const long double middle = value;
  value = middle + kNudge;
  const long double above = f();
  value = middle - kNudge;
  const long double below = f();
  value = middle;
  return (above - below) / (2 * kNudge);
}

struct Worst {
  long double error = 0, largest = 0;
  void see(long double got, long double want) {
    error = std::isfinite(got) ? std::max(error, std::fabs(got - want)) : INFINITY;
    largest = std::max(largest, std::fabs(want));
  }
  // Relative to the largest of all.
  long double relative() const { return error / largest; }
};

template <class T>
constexpr long double kGradientBound = sizeof(T) == 4 ? 2e-5L : 1e-9L;

std::vector<Spec> gradient_specs() {
  std::vector<Spec> list;
  for (const Activation hidden : {kIdentity, kRelu, kLeaky, kTanh, kSigmoid}) {
    for (const Loss loss : {Loss::mse, Loss::quadratic}) {
      for (const Activation last : {kIdentity, kRelu, kLeaky, kTanh, kSigmoid, kSoftmax}) {
        list.push_back({{4, 5, 3}, {hidden, last}, loss});
      }
    }
    list.push_back({{4, 5, 4, 3}, {hidden, hidden, kSoftmax}, Loss::cross_entropy, true});
    list.push_back({{4, 5, 4, 3}, {hidden, hidden, kIdentity}, Loss::cross_entropy, false});
    list.push_back({{4, 5, 4, 3}, {hidden, hidden, kSigmoid}, Loss::binary_cross_entropy});
  }
  const Activation more[] = {Activation::elu,       Activation::selu,        Activation::softplus,
                             Activation::softsign,  Activation::exponential, Activation::gelu,
                             Activation::gelu_tanh, Activation::silu,        Activation::mish};
  for (const Activation f : more) {
    list.push_back({{4, 5, 3}, {f, f}, Loss::mse});
    list.push_back({{4, 5, 3}, {f, f}, Loss::huber, false, 0.25});
    list.push_back({{4, 5, 3}, {f, f}, Loss::quantile});
    list.push_back({{4, 5, 3}, {f, f}, Loss::mae});
    list.push_back({{4, 5, 4, 3}, {f, f, kIdentity}, Loss::focal, true});
    list.push_back({{4, 5, 4, 3}, {f, f, kSoftmax}, Loss::focal, false, 0.5});
    list.push_back({{4, 5, 4, 3}, {f, f, kIdentity}, Loss::cross_entropy, true, 0.1});
    list.push_back({{4, 5, 4, 3}, {f, f, kIdentity}, Loss::cross_entropy, false, 0.3});
    list.push_back({{4, 5, 4, 3}, {kTanh, f, kIdentity}, Loss::hinge, true});
    list.push_back({{4, 5, 4, 1}, {kTanh, f, kTanh}, Loss::hinge});
    list.push_back({{4, 5, 4, 3}, {kTanh, f, kIdentity}, Loss::poisson});
  }
  return list;
}

}  // namespace

TEST_CASE_TEMPLATE("gradient: dw, db, dx and loss against differences in long double", T, float, double) {
  for (const Spec& spec : gradient_specs()) {
    for (const Index rows : {1, 17}) {
      CAPTURE(spec.describe());
      CAPTURE(rows);
      const Network<T> network = make_network<T>(spec);
      Plain plain(network, spec);
      const Data<T> data(spec, rows, 3);
      Stages<T> stages(network);
      double loss = 0;
      REQUIRE(stages.forward(data.inputs_view(), 0, 0, {}));
      REQUIRE(stages.backward(data.targets(), loss, 0, 0, {}));
      const auto mean_loss = [&] { return plain.total_loss(data) / rows; };
      CHECK(std::fabs(loss - mean_loss()) < kGradientBound<T> * std::max(1.0L, mean_loss()));

      Worst dw, db, dx;
      for (Index l = 0; l < network.depth(); ++l) {
        const auto i = static_cast<std::size_t>(l);
        const DwTarget<T> gradient = network.mirror(l, {stages.work().gradients().data()});
        const Index fan_out = network.layer(l).fan_out;
        for (Index k = 0; k < network.layer(l).fan_in; ++k) {
          for (Index j = 0; j < fan_out; ++j) {
            dw.see(gradient.g.row(j / kLanes, k)[j % kLanes],
                   slope(plain.w[i][static_cast<std::size_t>(k * fan_out + j)], mean_loss));
          }
        }
        for (Index j = 0; j < fan_out; ++j)
          db.see(gradient.g_bias[j], slope(plain.b[i][static_cast<std::size_t>(j)], mean_loss));
      }
      Panels<T> dx_panels;
      const Arena<T> owner = stages.input_gradient(dx_panels, 0);
      for (Index r = 0; r < rows; ++r) {
        std::vector<long double> x = Plain::row(data.x, r, data.inputs);
        const std::vector<long double> t = Plain::target(data, r);
        for (Index k = 0; k < data.inputs; ++k) {
          dx.see(dx_panels.row(r / kLanes, k)[r % kLanes],
                 slope(x[static_cast<std::size_t>(k)], [&] { return plain.row_loss(x, t) / rows; }));
        }
      }
      CHECK(dw.relative() < kGradientBound<T>);
      CHECK(db.relative() < kGradientBound<T>);
      CHECK(dx.relative() < kGradientBound<T>);
    }
  }
}

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
      REQUIRE(stages.forward(data.inputs_view(), 0, team, {}));
      CHECK_FALSE(stages.has_backward());
      REQUIRE(stages.backward(data.targets(), loss, 0, team, {}));
      const std::vector<T> gradient = copy_of(stages.work().gradients());
      const auto input_gradient = [&] {
        Panels<T> dx;
        const Arena<T> owner = stages.input_gradient(dx, team);
        return unpacked(dx, rows, data.inputs);
      };
      const std::vector<T> dx = input_gradient();
      if (team == 1) {
        first_gradient = gradient;
        first_dx = dx;
      }
      CHECK(same(gradient, first_gradient));
      CHECK(same(dx, first_dx));

      // the last layer's delta, out and in again
      const std::vector<T> dz = unpacked_lanes(stages.work().delta_t(network.depth()), rows, data.outputs);
      REQUIRE(stages.backward(Data<T>::view(dz, rows, data.outputs), 0, team, {}));
      CHECK(same(copy_of(stages.work().gradients()), first_gradient));
      CHECK(same(input_gradient(), first_dx));
    }
  }
}

namespace {

// The stages as the contract of numbers has them, without blocks, panels or threads: every sum one chain in ascending order.
// Row-major; the delta of the last layer is taken as given.
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
  Index units(Index l) const { return network.size_of(l); }

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
      Oracle<O>::activate(n, 1, lane.data(), f);
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
            l == 1 ? sum : Oracle<O>::derived(sum, from(i - 1, k, r, t), network.layer(l - 2).activation);
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
  REQUIRE(stages.forward(data.inputs_view(), 0, team, {}));
  REQUIRE(stages.backward(data.targets(), loss, 0, team, {}));
  const Workspace<T>& work = stages.work();
  const Chains<O> chains(network, rows, data.x, unpacked_lanes(work.delta_t(network.depth()), rows, data.outputs));
  for (Index l = 1; l <= network.depth(); ++l) {
    CAPTURE(l);
    const auto i = static_cast<std::size_t>(l);
    const Index units = network.size_of(l);
    CHECK(same(unpacked(work.z(l), rows, units), chains.z[i]));
    CHECK(same(unpacked(work.a(l), rows, units), chains.a[i]));
    CHECK(same(unpacked_lanes(work.delta_t(l), rows, units), chains.delta[i]));
    const DwTarget<T> gradient = network.mirror(l - 1, {work.gradients().data()});
    CHECK(same(unpacked_lanes(gradient.g, network.size_of(l - 1), units), chains.dw[i]));
    CHECK(same(std::vector<T>(gradient.g_bias, gradient.g_bias + units), chains.db[i]));
  }
  Panels<T> dx;
  const Arena<T> owner = stages.input_gradient(dx, team);
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
    REQUIRE(stages.forward(data.inputs_view(), 0, 0, {}));
    for (Index l = 1; l <= network.depth(); ++l) {
      const Panels<T> z = stages.work().z(l), a = stages.work().a(l);
      const Index units = network.size_of(l);
      for (Index p = 0; p < 2; ++p) {
        const int lanes = p == 0 ? 16 : 5;
        Values<T> want(z.panel(p), z.panel(p) + units * kLanes);
        network.kernels().activate(units, lanes, want.data(), network.layer(l - 1).activation);
        bool equal = true;
        for (Index i = 0; i < units * kLanes; ++i)
          equal = equal && (i % kLanes >= lanes || same(a.panel(p)[i], want[static_cast<std::size_t>(i)]));
        CHECK(equal);
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- inference

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
      REQUIRE(predict(network, data.inputs_view(), probabilities, whole.data(), 1, 0, {}));
      for (const int team : kTeams) {
        std::vector<T> out(whole.size(), T(-9));
        REQUIRE(predict(network, data.inputs_view(), probabilities, out.data(), 0, team, {}));
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
          REQUIRE(predict(network, part, probabilities, out.data() + r * data.outputs, 0, longest < 200 ? 1 : 3, {}));
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
    CHECK(predict(network, data.inputs_view(), false, static_cast<T*>(nullptr), 0, 0, {}));
    CHECK(evaluate(network, data.inputs_view(), data.targets(), score, 0, 0, {}));
    CHECK(score.loss == 0);
    Optimizer<T> state = make_optimizer(network);
    const EpochResult result = Trainer<T>(network).epoch(arguments(data, 16), state);
    CHECK(result.end == EpochEnd::finished);
    CHECK(result.steps == 0);
    CHECK(same(copy_of(network.parameters()), before));
  }
}

// Rows of a predict and the forward pass of a batch go through other loops, and must not through other numbers.
TEST_CASE_TEMPLATE("predict: the bits of the stages' forward pass, whatever the batch", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Network<T> network = make_network<T>(spec);
    for (const Index rows : batches()) {
      const Data<T> data(spec, rows);
      std::vector<T> out(static_cast<std::size_t>(rows * data.outputs));
      REQUIRE(predict(network, data.inputs_view(), false, out.data(), 0, 0, {}));
      Stages<T> stages(network);
      REQUIRE(stages.forward(data.inputs_view(), 0, 2, {}));
      CHECK(same(out, unpacked(stages.work().a(network.depth()), rows, data.outputs)));
    }
  }
}

TEST_CASE_TEMPLATE("evaluate: the same bits for every team, near the plain loss", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Network<T> network = make_network<T>(spec);
    const Data<T> data(spec, 301);
    Score alone;
    REQUIRE(evaluate(network, data.inputs_view(), data.targets(), alone, 1, 0, {}));
    for (const int team : kTeams) {
      Score score;
      REQUIRE(evaluate(network, data.inputs_view(), data.targets(), score, 0, team, {}));
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

// ---------------------------------------------------------------------------------------------- weights of rows

namespace {

template <class T>
Targets weighted(const Data<T>& data, const std::vector<T>& weights) {
  Targets y = data.targets();
  y.weights = Data<T>::view(weights, static_cast<Index>(weights.size()), 1);
  return y;
}

// Data whose weights are 0 to 3, and the same rows as often as their weights say.
template <class T>
struct Repeated {
  std::vector<T> weights;
  std::vector<std::uint32_t> order;
  explicit Repeated(Index rows) {
    Dice dice(7);
    for (Index r = 0; r < rows; ++r) {
      weights.push_back(static_cast<T>(r == 0 ? 1 : dice.below(4)));
      for (int i = 0; i < static_cast<int>(weights.back()); ++i) order.push_back(static_cast<std::uint32_t>(r));
    }
  }
};

}  // namespace

TEST_CASE_TEMPLATE("weights of rows: what repeated rows give, the same bits for every team", T, float, double) {
  const double bound = sizeof(T) == 4 ? 2e-5 : 1e-12;
  for (const Spec& spec : specs()) {
    for (const Index rows : {3, 21, 150}) {
      CAPTURE(spec.describe());
      CAPTURE(rows);
      const Network<T> network = make_network<T>(spec);
      const Data<T> data(spec, rows);
      const Repeated<T> repeated(rows);
      const auto count = static_cast<Index>(repeated.order.size());
      const Data<T> often = data.batch(repeated.order, 0, count);
      const Targets y = weighted(data, repeated.weights);

      Score plain, alone;
      REQUIRE(evaluate(network, often.inputs_view(), often.targets(), plain, 1, 0, {}));
      REQUIRE(evaluate(network, data.inputs_view(), y, alone, 1, 0, {}));
      CHECK(alone.weight == static_cast<double>(count));
      CHECK(std::fabs(alone.loss - plain.loss) <= bound * std::max(1.0, plain.loss));
      CHECK(std::fabs(alone.metric - plain.metric) <= bound * std::max(1.0, plain.metric));

      double expected = 0;
      Stages<T> by_repetition(network);
      REQUIRE(by_repetition.forward(often.inputs_view(), 1, 0, {}));
      REQUIRE(by_repetition.backward(often.targets(), expected, 1, 0, {}));
      std::vector<T> first;
      for (const int team : kTeams) {
        Score score;
        REQUIRE(evaluate(network, data.inputs_view(), y, score, 0, team, {}));
        CHECK(same(score.loss, alone.loss));
        CHECK(same(score.metric, alone.metric));
        double loss = 0;
        Stages<T> stages(network);
        REQUIRE(stages.forward(data.inputs_view(), 0, team, {}));
        REQUIRE(stages.backward(y, loss, 0, team, {}));
        CHECK(std::fabs(loss - expected) <= bound * std::max(1.0, expected));
        const std::vector<T> gradient = copy_of(stages.work().gradients());
        if (team == 1) first = gradient;
        CHECK(same(gradient, first));
        Worst worst;
        const std::vector<T> want = copy_of(by_repetition.work().gradients());
        for (std::size_t i = 0; i < want.size(); ++i) worst.see(gradient[i], want[i]);
        CHECK(worst.error <= bound * std::max(1.0L, worst.largest));
      }
    }
  }
}

TEST_CASE_TEMPLATE("weights of rows: the same bits for every team; rows of weight 0 do not count", T, float, double) {
  std::size_t turn = 0;
  for (const Spec& spec : specs()) {
    for (const Index batch : {4, 16, 40}) {
      CAPTURE(spec.describe());
      CAPTURE(batch);
      const Index rows = 90;
      const Data<T> data(spec, rows);
      const std::vector<T> weights = Repeated<T>(rows).weights;
      EpochArgs<T> args = arguments(data, batch);
      args.y = weighted(data, weights);
      const Trained<T> alone = trained(spec, args, 1);
      for (int i = 0; i < 2; ++i) {  // the teams take turns over networks and batches
        const int team = kTeams[turn++ % std::size(kTeams)];
        CAPTURE(team);
        CHECK(trained(spec, args, team) == alone);
      }

      // rows of weight 0 with other numbers in them
      Data<T> other = data;
      for (Index r = 0; r < rows; ++r) {
        for (Index k = 0; weights[static_cast<std::size_t>(r)] == 0 && k < data.inputs; ++k)
          other.x[static_cast<std::size_t>(r * data.inputs + k)] *= T(3e30);
      }
      EpochArgs<T> others = args;
      others.x = other.inputs_view();
      CHECK(trained(spec, others, 1) == alone);
    }
  }
}

TEST_CASE_TEMPLATE("weights of rows: a batch that weighs nothing has loss 0 and no gradient", T, float, double) {
  for (const Spec& spec : specs()) {
    CAPTURE(spec.describe());
    const Index rows = 40, batch = 8;
    const Data<T> data(spec, rows);
    std::vector<T> weights(static_cast<std::size_t>(rows), T(0));
    EpochArgs<T> args = arguments(data, batch);
    args.shuffle = false;
    args.y = weighted(data, weights);
    Network<T> network = make_network<T>(spec);
    const std::vector<T> before = copy_of(network.parameters());
    Optimizer<T> state = make_optimizer(network, sgd(0.05, 0, 0));
    EpochResult result = Trainer<T>(network).epoch(args, state);
    CHECK(result.end == EpochEnd::finished);
    CHECK(result.steps == 5);
    CHECK(result.score.mean(result.score.loss) == 0);
    CHECK(same(copy_of(network.parameters()), before));

    weights[17] = T(0.25);  // in the third of five batches
    result = Trainer<T>(network).epoch(args, state);
    CHECK(result.score.weight == 0.25);
    Network<T> single = make_network<T>(spec);
    Optimizer<T> single_state = make_optimizer(single, sgd(0.05, 0, 0));
    EpochArgs<T> one = args;
    one.x = data.inputs_view();
    one.x.data = one.x.row(17);
    one.x.rows = one.batch = 1;
    one.y = data.targets();
    if (one.y.labels) one.y.labels += 17;
    if (one.y.rows.data) one.y.rows.data = one.y.rows.row(17);
    REQUIRE(Trainer<T>(single).epoch(one, single_state).end == EpochEnd::finished);
    const std::vector<T> got = copy_of(network.parameters()), want = copy_of(single.parameters());
    Worst worst;
    for (std::size_t i = 0; i < want.size(); ++i) worst.see(got[i], want[i]);
    CHECK(worst.error <= (sizeof(T) == 4 ? 1e-5L : 1e-12L) * std::max(1.0L, worst.largest));
  }
}

// ---------------------------------------------------------------------------------------------- interruption, divergence

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

// So many rows that no machine is done before it is asked to stop; all of them the same row.
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
      args.forced = team;
      args.poll = asked.poll();
      const EpochResult result = trainer.epoch(args, state);
      REQUIRE(result.end == EpochEnd::interrupted);
      CHECK(asked.times == stop_at);
      CHECK(result.steps < rows / batch);
      CHECK(trainer.progress().rows == result.steps * batch);

      // another network, and as many steps as were finished
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

      // and both go on alike
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
  const Index rows = kSlow ? 1000 : 4000;  // 50 ms and more for two cores: the core asks after 20
  const Endless<T> endless({{256, 1024, 1024, 10}, {kRelu, kRelu, kIdentity}, Loss::cross_entropy, true}, rows);
  const Network<T> network = make_network<T>(endless.spec);
  std::vector<T> out(static_cast<std::size_t>(rows * 10));
  for (const int team : {1, 2}) {
    CAPTURE(team);
    Asked asked;
    CHECK_FALSE(predict(network, endless.x(rows), false, out.data(), 0, team, asked.poll()));
    CHECK(asked.times == 1);
    Score score;
    Asked again;
    CHECK_FALSE(evaluate(network, endless.x(rows), endless.y(), score, 0, team, again.poll()));
    CHECK(again.times == 1);

    Stages<T> stages(network);
    Asked third, fourth;
    CHECK_FALSE(stages.forward(endless.x(rows), 0, team, third.poll()));
    CHECK_FALSE(stages.has_forward());
    double loss = 0;
    REQUIRE(stages.forward(endless.x(rows), 0, team, {}));
    CHECK_FALSE(stages.backward(endless.y(), loss, 0, team, fourth.poll()));
    CHECK(stages.has_forward());
    CHECK_FALSE(stages.has_backward());
  }
}

namespace {

template <class T>
bool all_zero(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T v) { return v == 0; });
}

}  // namespace

TEST_CASE_TEMPLATE("divergence: a bad batch is not learned from", T, float, double) {
  const Spec spec{{5, 20, 3}, {kRelu, kIdentity}, Loss::mse};
  const Index batch = 16, steps_before = 2;
  for (const T bad : {nan<T>(), infinity<T>(), std::numeric_limits<T>::max()}) {
    for (const int team : {1, 2, 4}) {
      for (const bool snapshot : {true, false}) {
        CAPTURE(bad);
        CAPTURE(team);
        CAPTURE(snapshot);
        Data<T> data(spec, 70);
        data.y[static_cast<std::size_t>((steps_before * batch + 3) * 3)] = bad;
        Network<T> network = make_network<T>(spec), other = make_network<T>(spec);
        Optimizer<T> state = make_optimizer(network), other_state = make_optimizer(other);
        Trainer<T> trainer(network);
        EpochArgs<T> args = arguments(data, batch);
        args.shuffle = false;
        args.forced = team;
        args.snapshot = snapshot;
        const std::vector<T> start = copy_of(network.parameters());
        const EpochResult result = trainer.epoch(args, state);
        CHECK(result.end == EpochEnd::diverged);
        CHECK(result.steps == steps_before);
        CHECK(result.bad_step == steps_before + 1);
        CHECK_FALSE(std::isfinite(result.bad_loss));
        CHECK(std::isfinite(result.score.loss));

        args.x.rows = steps_before * batch;
        REQUIRE(Trainer<T>(other).epoch(args, other_state).end == EpochEnd::finished);
        CHECK_FALSE(same(start, copy_of(other.parameters())));
        if (snapshot) {
          CHECK(same(copy_of(network.parameters()), start));
          CHECK(all_zero(copy_of(state.state())));
        } else {
          CHECK(same(copy_of(network.parameters()), copy_of(other.parameters())));
          CHECK(same(copy_of(state.state()), copy_of(other_state.state())));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("divergence: a learning rate that is too large, seen in a loss or at the end in the weights", T, float,
                   double) {
  const Spec spec{{5, 20, 3}, {kRelu, kIdentity}, Loss::mse};
  for (const Index rows : {64, 16}) {
    for (const int team : {1, 3}) {
      CAPTURE(rows);
      const Data<T> data(spec, rows);
      Network<T> network = make_network<T>(spec);
      // after one batch the weights themselves overflow; after several, first the loss
      const T most = std::numeric_limits<T>::max();
      const double lr = static_cast<double>(rows == 16 ? most : std::sqrt(most));
      Optimizer<T> state = make_optimizer(network, sgd(lr, 0.9, rows == 16 ? 1e9 : 0.001));
      Trainer<T> trainer(network);
      EpochArgs<T> args = arguments(data, 16);
      args.forced = team;
      const std::vector<T> start = copy_of(network.parameters());
      const EpochResult result = trainer.epoch(args, state);
      CHECK(result.end == EpochEnd::diverged);
      CHECK_FALSE(std::isfinite(result.bad_loss));
      CHECK(result.bad_step == (rows == 16 ? 1 : 2));
      CHECK(same(copy_of(network.parameters()), start));
      CHECK(all_zero(copy_of(state.state())));

      state.configure(sgd(0.01, 0.9, 0));
      CHECK(trainer.epoch(args, state).end == EpochEnd::finished);  // still of use
    }
  }
}

// ---------------------------------------------------------------------------------------------- making networks

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
  // every layer fits by itself, their sum is 2^64 and a few: it must not be taken for the few
  CHECK_THROWS_AS(make(std::vector<Index>(257, Index{1} << 28)), std::length_error);

  const Network<T> network({3, 200, 2}, {kRelu, kIdentity}, Loss::mse);
  for (const Keep keep : {Keep::forward, Keep::training, Keep::everything}) {
    CHECK_THROWS_AS((Workspace<T>{network, Index{1} << 52, keep}), std::length_error);
    CHECK_THROWS_AS((Workspace<T>{network, max - 15, keep}), std::length_error);
    CHECK_THROWS_AS((Workspace<T>{network, max, keep}), std::length_error);
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
