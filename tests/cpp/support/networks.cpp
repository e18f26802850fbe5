// The networks of the tests, compiled once for all of them.
#include "support/networks.h"

#include "base/random.h"
#include "base/scalar.h"

namespace retrograd::testing {

std::string Spec::describe() const {
  std::string text_ = "network";
  for (const Index size : sizes) text_ += " " + text(size);
  for (const Activation f : activations) text_ += " " + text(f);
  return text_ + words("", loss) + (labels ? " labels" : "");
}

double parameter_of(const Spec& spec) {
  const bool huber = spec.loss == Loss::huber, quantile = spec.loss == Loss::quantile, focal = spec.loss == Loss::focal;
  return spec.parameter != 0 ? spec.parameter : huber ? 1 : quantile ? 0.25 : focal ? 2 : 0;
}

std::vector<Spec> specs() {
  return {
      {{1, 1}, {kIdentity}, Loss::mse},
      {{3, 2}, {kSoftmax}, Loss::cross_entropy, true},
      {{5, 7, 3}, {kTanh, kSoftmax}, Loss::cross_entropy, false},
      {{13, 33, 17, 1}, {kRelu, kSigmoid, kIdentity}, Loss::quadratic},
      {{64, 64, 10}, {kRelu, kIdentity}, Loss::cross_entropy, true},
      {{16, 32, 16}, {kLeaky, kSigmoid}, Loss::binary_cross_entropy},
      {{31, 5, 6, 7, 8}, {kTanh, kRelu, kLeaky, kSoftmax}, Loss::mse},
      {{257, 130, 5}, {kSigmoid, kTanh}, Loss::quadratic},
      {{40, 300, 9}, {kRelu, kRelu}, Loss::mse},
      {{21, 96, 6}, {kTanh, kRelu}, Loss::mse},                  // its first layer falls into equal parts for teams of 2 and 3
      {{10, 20, 150, 4}, {kTanh, kRelu, kIdentity}, Loss::mse},  // few rows: two blocks of a delta's reduction
      // derivatives from z: small, wide, rows where they are, the last layer
      {{13, 33, 17, 3}, {Activation::gelu, Activation::mish, Activation::silu}, Loss::huber},
      {{530, 40, 130, 2}, {Activation::silu, Activation::gelu_tanh, Activation::gelu}, Loss::mae},
      {{9, 12, 7, 4}, {Activation::elu, Activation::selu, kIdentity}, Loss::focal, true},
      {{20, 40, 3}, {Activation::softplus, kIdentity}, Loss::hinge, true},
      {{20, 40, 1}, {Activation::softsign, kTanh}, Loss::hinge},
      {{11, 30, 2}, {Activation::mish, Activation::exponential}, Loss::poisson},
      {{64, 20, 5}, {kRelu, kIdentity}, Loss::quantile},
      {{12, 20, 4}, {Activation::elu, kIdentity}, Loss::cross_entropy, true, 0.1},
      {{12, 20, 4}, {Activation::gelu, kIdentity}, Loss::focal, false, 1.5},
      // layers without biases: some or all, small and wide
      {{13, 33, 17, 3}, {kRelu, kTanh, kIdentity}, Loss::mse, false, 0, {false, true, false}},
      {{5, 7, 3}, {kTanh, kIdentity}, Loss::cross_entropy, true, 0, {false, false}},
      {{530, 40, 130, 2}, {Activation::silu, kRelu, kIdentity}, Loss::mae, false, 0, {true, false, true}},
  };
}

template <class T>
Network<T> make_network(const Spec& spec) {
  Network<T> network(spec.sizes, spec.activations, spec.loss, parameter_of(spec), {}, spec.biases);
  for (Index l = 0; l < network.depth(); ++l) {
    fill_weights(network, l, Distribution::normal, 1.0 / std::sqrt(static_cast<double>(network.layer(l).fan_in)), kSeed);
    for (Index j = 0; network.layer(l).biased && j < network.layer(l).fan_out; ++j) {
      network.layer(l).b[j] = static_cast<T>(
          0.1 * normal(kSeed + 1, Stream::weights, static_cast<std::uint32_t>(l), static_cast<std::uint64_t>(j)));
    }
  }
  return network;
}

template <class T>
Data<T>::Data(const Spec& spec, Index rows_, std::uint64_t seed)
    : rows(rows_), inputs(spec.sizes.front()), outputs(spec.sizes.back()), labels(spec.labels) {
  Dice dice(seed);
  for (Index i = 0; i < rows * inputs; ++i) x.push_back(dice.number<T>());
  for (Index i = 0; i < rows * outputs; ++i) y.push_back(dice.number<T>());
  for (Index i = 0; i < rows; ++i) label.push_back(static_cast<std::int32_t>(dice.below(outputs)));
  const bool probabilities = spec.loss == Loss::cross_entropy || spec.loss == Loss::focal;
  if (probabilities || spec.loss == Loss::binary_cross_entropy) {
    for (T& v : y) v = (v + T(1)) / T(2);
  }
  for (T& v : y) {
    if (spec.loss == Loss::hinge) v = v > 0 ? T(1) : T(-1);
    if (spec.loss == Loss::poisson) v = std::floor(T(3) * std::fabs(v));
  }
  for (Index r = 0; r < rows && probabilities; ++r) {
    T* p = &y[static_cast<std::size_t>(r * outputs)];
    T sum = 0;
    for (Index j = 0; j < outputs; ++j) sum += p[j];
    for (Index j = 0; j < outputs; ++j) p[j] /= sum;
  }
}

template <class T>
Data<T> Data<T>::batch(const std::vector<std::uint32_t>& order, Index start, Index count) const {
  Data part = *this;
  part.rows = count;
  part.x.clear();
  part.y.clear();
  part.label.clear();
  for (Index i = start; i < start + count; ++i) {
    const auto r = static_cast<std::ptrdiff_t>(order[static_cast<std::size_t>(i)]);
    part.x.insert(part.x.end(), x.begin() + r * inputs, x.begin() + (r + 1) * inputs);
    part.y.insert(part.y.end(), y.begin() + r * outputs, y.begin() + (r + 1) * outputs);
    part.label.push_back(label[static_cast<std::size_t>(r)]);
  }
  return part;
}

template <class T>
std::vector<T> unpacked(Panels<T> panels_, Index rows, Index units) {
  std::vector<T> out(static_cast<std::size_t>(rows * units));
  unpack_batch(active_kernels<T>(), panels_, rows, units, out.data());
  return out;
}

template <class T>
std::vector<T> unpacked_lanes(Panels<T> panels_, Index rows, Index units) {
  std::vector<T> out;
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < units; ++j) out.push_back(panels_.row(j / kLanes, r)[j % kLanes]);
  }
  return out;
}

OptimizerSettings sgd(double lr, double momentum, double weight_decay, bool nesterov) {
  OptimizerSettings settings;
  settings.lr = lr;
  settings.momentum = momentum;
  settings.weight_decay = weight_decay;
  settings.nesterov = nesterov;
  return settings;
}

OptimizerSettings every_term_of_sgd() {
  OptimizerSettings settings = sgd(0.05, 0.9, 0.01);
  settings.dampening = 0.25;
  settings.clip_value = 0.02;
  settings.clip_norm = 0.5;
  return settings;
}

OptimizerSettings settings_of(Rule rule, double lr) {
  OptimizerSettings settings = sgd(lr, rule == Rule::rmsprop ? 0.5 : 0, 0.01);
  settings.rule = rule;
  settings.beta1 = 0.9;
  settings.beta2 = 0.99;
  settings.eps = 1e-8;
  settings.lr_decay = 0.01;
  settings.initial = 0.1;
  settings.decoupled = rule == Rule::lion;
  settings.amsgrad = settings.centered = true;
  return settings;
}

template <class T>
Trained<T> trained(const Spec& spec, EpochArgs<T> args, int forced, const OptimizerSettings& settings) {
  Network<T> network = make_network<T>(spec);
  Trainer<T> trainer(network);
  Optimizer<T> state = make_optimizer(network, settings);
  Trained<T> result;
  args.threads.exactly = forced;
  for (args.epoch = 0; args.epoch < 2; ++args.epoch) {
    const EpochResult epoch = trainer.epoch(args, state);
    REQUIRE(epoch.end == EpochEnd::finished);
    CHECK(epoch.steps == (args.x.rows + args.batch - 1) / args.batch);
    CHECK(epoch.team >= 1);
    CHECK(epoch.team <= std::max(args.threads.wish, forced));
    CHECK(trainer.progress().rows == args.x.rows);
    const Score& score = epoch.score;
    const auto rows = static_cast<double>(args.x.rows);
    CHECK(trainer.progress().loss == (args.y.row_weights.data ? score.mean(score.loss) * rows : score.loss));
    result.loss += epoch.score.loss;
    result.metric += epoch.score.metric;
  }
  result.parameters = copy_of(network.parameters());
  result.velocity = copy_of(state.state());
  return result;
}

std::vector<Index> batches() {
  return few_sizes() ? std::vector<Index>{1, 15, 17, 64} : std::vector<Index>{1, 3, 8, 15, 16, 17, 33, 64, 300};
}

template <class T>
std::uint64_t weights_hash(const Network<T>& network) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&hash](T value) {
    const std::uint64_t bits = Scalar<T>::bits(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) hash = (hash ^ (bits >> 8 * i & 0xff)) * 0x100000001b3u;
  };
  for (const DenseLayer<T>& layer : network.layers()) {
    for (const T value : unpacked_lanes(layer.w, layer.fan_in, layer.fan_out)) add(value);
    for (Index j = 0; j < layer.fan_out; ++j) add(layer.b[j]);
  }
  return hash;
}

template struct Data<float>;
template Network<float> make_network(const Spec&);
template std::vector<float> unpacked(Panels<float>, Index, Index);
template std::vector<float> unpacked_lanes(Panels<float>, Index, Index);
template Trained<float> trained(const Spec&, EpochArgs<float>, int, const OptimizerSettings&);
template std::uint64_t weights_hash(const Network<float>&);
template struct Data<double>;
template Network<double> make_network(const Spec&);
template std::vector<double> unpacked(Panels<double>, Index, Index);
template std::vector<double> unpacked_lanes(Panels<double>, Index, Index);
template Trained<double> trained(const Spec&, EpochArgs<double>, int, const OptimizerSettings&);
template std::uint64_t weights_hash(const Network<double>&);

}  // namespace retrograd::testing
