// What the package knows of each kind of activation, loss, update rule, normalisation and distribution: an enum, and beside
// it one table of names and facts. C++ asks these tables, and Python reads the same ones through the bindings.
//
// The formulas are not here: kernels/activate.h, kernels/activations.h, kernels/losses.h and
// kernels/updates.h have them. To add a kind, add its line to the enum and to the table; README.md
// beside this folder says what else is needed.
#pragma once

#include <cstddef>
#include <iterator>
#include <limits>

namespace retrograd {

// ---------------------------------------------------------------------------------------------- activations

enum class Activation : int {
  identity = 0,
  relu,
  leaky_relu,
  tanh,
  sigmoid,
  softmax,
  elu,
  selu,
  softplus,
  softsign,
  exponential,
  gelu,
  gelu_tanh,
  silu,
  mish
};

constexpr double kLeakySlope = 0.01;
constexpr double kNoBound = std::numeric_limits<double>::infinity();
constexpr double kSeluScale = 1.0507009873554804934, kSeluAlpha = 1.6732632423543772848;  // Klambauer et al., 2017

struct ActivationFacts {
  Activation kind;
  const char* name;
  const char* init;             // the default initialiser of a hidden layer with this activation
  bool derived_from_z = false;  // f' is computed from z: where f falls and rises, a = f(z) does not tell on which side z lies
  bool odd = false;             // f(-z) = -f(z): the output has the sign of z
  bool last_only = false;       // it runs over all units of a row, and is for the last layer alone
  double low = -kNoBound;       // its values lie from low to high: it takes both, or comes as near as rounding goes
  double high = kNoBound;
};

inline constexpr ActivationFacts kActivations[] = {
    {Activation::identity, "identity", "lecun_normal", false, true},
    {Activation::relu, "relu", "he_normal", false, false, false, 0},
    {Activation::leaky_relu, "leaky_relu", "he_normal"},
    {Activation::tanh, "tanh", "he_normal", false, true, false, -1, 1},
    {Activation::sigmoid, "sigmoid", "he_normal", false, false, false, 0, 1},
    {Activation::softmax, "softmax", "lecun_normal", false, false, true, 0, 1},
    {Activation::elu, "elu", "he_normal", false, false, false, -1},
    {Activation::selu, "selu", "lecun_normal", false, false, false, -kSeluScale* kSeluAlpha},
    {Activation::softplus, "softplus", "he_normal", false, false, false, 0},
    {Activation::softsign, "softsign", "he_normal", false, true, false, -1, 1},
    {Activation::exponential, "exponential", "lecun_normal", false, false, false, 0},
    // these four have their least value at some z between -2 and 0
    {Activation::gelu, "gelu", "he_normal", true, false, false, -0.16997120747990366},
    {Activation::gelu_tanh, "gelu_tanh", "he_normal", true, false, false, -0.17004075057125406},
    {Activation::silu, "silu", "he_normal", true, false, false, -0.27846454276107374},
    {Activation::mish, "mish", "he_normal", true, false, false, -0.30884341301725043},
};

// ---------------------------------------------------------------------------------------------- losses

// What a loss takes as the answer of a row.
enum class TargetKind : int {
  numbers = 0,    // any numbers, one for each output
  counts,         // numbers that are not negative
  shares,         // numbers from 0 to 1
  signs,          // -1 or 1, or 0 or 1
  labels,         // the number of an output
  probabilities,  // a label, or the probability of each output
};

// What a network with that loss answers.
enum class Decision : int {
  nothing = 0,  // its outputs as they are
  rates,        // its outputs after what the loss applies
  sign,         // for each output, whether it is above 0
  label,        // the number of the largest output
};

constexpr Decision decision_of(TargetKind targets) {
  switch (targets) {
    case TargetKind::numbers:
      return Decision::nothing;
    case TargetKind::counts:
      return Decision::rates;
    case TargetKind::shares:
    case TargetKind::signs:
      return Decision::sign;
    case TargetKind::labels:
    case TargetKind::probabilities:
      return Decision::label;
  }
  return Decision::nothing;
}

enum class Loss : int { mse = 0, quadratic, cross_entropy, binary_cross_entropy, mae, huber, poisson, quantile, hinge, focal };

struct LossFacts {
  Loss kind;
  const char* name;
  Activation applies;       // what the loss applies to the outputs itself, which are then logits or log rates
  TargetKind targets;       // where there is one output
  TargetKind targets_many;  // where there are several
  const char* parameter_name = "";
  double parameter = 0;     // its default
  bool odd_output = false;  // predictions follow the sign of z, so the output activation must keep it

  constexpr TargetKind targets_of(std::ptrdiff_t outputs) const { return outputs == 1 ? targets : targets_many; }
};

inline constexpr LossFacts kLosses[] = {
    {Loss::mse, "mse", Activation::identity, TargetKind::numbers, TargetKind::numbers},
    {Loss::quadratic, "quadratic", Activation::identity, TargetKind::numbers, TargetKind::numbers},
    {Loss::cross_entropy, "cross_entropy", Activation::softmax, TargetKind::probabilities, TargetKind::probabilities,
     "label_smoothing", 0},
    {Loss::binary_cross_entropy, "binary_cross_entropy", Activation::sigmoid, TargetKind::shares, TargetKind::shares},
    {Loss::mae, "mae", Activation::identity, TargetKind::numbers, TargetKind::numbers},
    {Loss::huber, "huber", Activation::identity, TargetKind::numbers, TargetKind::numbers, "delta", 1},
    {Loss::poisson, "poisson", Activation::exponential, TargetKind::counts, TargetKind::counts},
    {Loss::quantile, "quantile", Activation::identity, TargetKind::numbers, TargetKind::numbers, "q", 0.5},
    {Loss::hinge, "hinge", Activation::identity, TargetKind::signs, TargetKind::labels, "", 0, true},
    {Loss::focal, "focal", Activation::softmax, TargetKind::probabilities, TargetKind::probabilities, "gamma", 2},
};

// ---------------------------------------------------------------------------------------------- the rest

// How a step turns a gradient into a change of the weights: PyTorch's rules of the same names; Lion is its paper's.
enum class Rule : int { sgd = 0, adam, rmsprop, adagrad, lion };

struct RuleFacts {
  Rule kind;
  const char* name;
};

inline constexpr RuleFacts kRules[] = {
    {Rule::sgd, "sgd"}, {Rule::adam, "adam"}, {Rule::rmsprop, "rmsprop"}, {Rule::adagrad, "adagrad"}, {Rule::lion, "lion"}};

enum class Norm : int { none = 0, layer, batch };

struct NormFacts {
  Norm kind;
  const char* name;
};

inline constexpr NormFacts kNorms[] = {{Norm::none, "none"}, {Norm::layer, "layer"}, {Norm::batch, "batch"}};

// Standard normal; uniform in (-1, 1); a random matrix with orthonormal columns (or rows, where it is wider than high).
enum class Distribution : int { normal = 0, uniform, orthogonal };

struct DistributionFacts {
  Distribution kind;
  const char* name;
};

inline constexpr DistributionFacts kDistributions[] = {
    {Distribution::normal, "normal"}, {Distribution::uniform, "uniform"}, {Distribution::orthogonal, "orthogonal"}};

// ---------------------------------------------------------------------------------------------- questions

template <class Facts, std::size_t N>
constexpr bool in_order(const Facts (&table)[N]) {
  for (std::size_t i = 0; i < N; ++i) {
    if (static_cast<std::size_t>(table[i].kind) != i) return false;
  }
  return true;
}
static_assert(in_order(kActivations) && in_order(kLosses) && in_order(kRules) && in_order(kNorms) && in_order(kDistributions),
              "a table lists its kinds in the order of the enum");
// The last of each enum stands here: a new one takes its place.
static_assert(static_cast<std::size_t>(Activation::mish) + 1 == std::size(kActivations), "one line for each activation");
static_assert(static_cast<std::size_t>(Loss::focal) + 1 == std::size(kLosses), "one line for each loss");
static_assert(static_cast<std::size_t>(Rule::lion) + 1 == std::size(kRules), "one line for each rule");

constexpr const ActivationFacts& facts_of(Activation f) { return kActivations[static_cast<std::size_t>(f)]; }
constexpr const LossFacts& facts_of(Loss loss) { return kLosses[static_cast<std::size_t>(loss)]; }

// One bit for each activation. Kernels use this number, because looking into the table would make the
// table one of their symbols.
constexpr unsigned bits_derived_from_z() {
  unsigned bits = 0;
  for (const ActivationFacts& facts : kActivations)
    bits |= static_cast<unsigned>(facts.derived_from_z) << static_cast<int>(facts.kind);
  return bits;
}
constexpr unsigned kDerivedFromZ = bits_derived_from_z();
constexpr bool derived_from_z(Activation f) { return (kDerivedFromZ >> static_cast<int>(f) & 1) != 0; }

}  // namespace retrograd
