// What kernels are told beside pointers and sizes: one struct for each kind of call that takes many numbers. No code but
// what a struct says about itself. The functions that take them, and their contracts, are in table.h.
#pragma once

#include <cstdint>
#include <limits>

#include "base/panel.h"

namespace retrograd {

// ------------------------------------------------------------------------------------------------ kinds

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

// Whether f' is computed from z, not from a = f(z): where f falls and rises, a does not tell on which side z lies.
constexpr bool derived_from_z(Activation f) {
  return f == Activation::gelu || f == Activation::gelu_tanh || f == Activation::silu || f == Activation::mish;
}

enum class Norm : int { none = 0, layer, batch };
enum class Loss : int { mse = 0, quadratic, cross_entropy, binary_cross_entropy, mae, huber, poisson, quantile, hinge, focal };

constexpr double kLeakySlope = 0.01;
constexpr double kSeluScale = 1.0507009873554804934, kSeluAlpha = 1.6732632423543772848;  // Klambauer et al., 2017

// How a step turns a gradient into a change of the weights: PyTorch's rules of the same names, Lion its paper's.
enum class Rule : int { sgd = 0, adam, rmsprop, adagrad, lion };

// ------------------------------------------------------------------------------------------------ end of kinds

// Which terms of sgd's rule count: the rate alone, momentum too, or others as well.
enum class Terms : int { unknown = 0, lr, momentum, every };

// One step for one array of parameters. s0, s1, s2 below are arrays laid out as the parameters ("planes" of the state): s0
// where the functions take v, s1 `second` values further, s2 `third` values further. For every rule first
//   g = scale dw, held between -clip and clip;  w = shrink w;  g = g + weight_decay w + l1 sign(w)
// and then
//   rule     s0          s1        s2 (only where `third` is not 0)
//   sgd      velocity
//   adam     mean of g   of g^2    largest s1 so far (PyTorch's "amsgrad")
//   rmsprop  of g^2      velocity  mean of g (PyTorch's "centered")
//   adagrad  sum of g^2
//   lion     mean of g
// sgd:      s0 = momentum s0 + keep g;  w = w - lr s0, or w - lr (g + momentum s0) with nesterov; without momentum w - lr g.
// adam:     s0 = beta1 s0 + (1 - beta1) g;  s1 = beta2 s1 + (1 - beta2) g^2;  w = w - lr s0 / (correction sqrt(s1) + eps), with
//           s2 = max(s2, s1) in place of s1 where there is an s2.
// rmsprop:  s0 = beta2 s0 + (1 - beta2) g^2;  d = g / (sqrt(s0) + eps), or g / (sqrt(s0 - s2^2) + eps) with
//           s2 = beta2 s2 + (1 - beta2) g where there is an s2;  with momentum s1 = momentum s1 + d in place of d;
//           w = w - lr d.
// adagrad:  s0 = s0 + g^2;  w = w - lr g / (sqrt(s0) + eps).
// lion:     w = w - lr sign(beta1 s0 + (1 - beta1) g);  s0 = beta2 s0 + (1 - beta2) g.
template <class T>
struct Update {
  T lr;
  T momentum;
  T weight_decay;
  bool nesterov;
  Rule rule = Rule::sgd;
  bool frozen = false;  // for the passes over layers: this array is left alone
  T keep = 1;
  T scale = 1;
  T clip = std::numeric_limits<T>::infinity();
  T shrink = 1;
  T l1 = 0;
  T beta1 = 0;
  T beta2 = 0;
  T eps = 0;
  T correction = 1;
  Index second = 0;              // from s0 to s1
  Index third = 0;               // from s0 to s2: adam's largest squares, rmsprop's means; 0: the rule runs without
  Terms terms = Terms::unknown;  // terms_of() the rest, once for all products; unknown: each of them asks
  bool in_cache = false;         // parameters and state are few, and in the cache: nothing is fetched ahead

  // Whether dw and db can take the step themselves. Else they store, and `update` follows.
  bool fused() const { return rule == Rule::sgd; }
};

// Precondition: u.fused().
template <class T>
constexpr Terms terms_of(const Update<T>& u) {
  const bool every = u.nesterov || u.weight_decay != 0 || u.keep != 1 || u.scale != 1 || u.shrink != 1 || u.l1 != 0 ||
                     u.clip != std::numeric_limits<T>::infinity();
  return every ? Terms::every : u.momentum != 0 ? Terms::momentum : Terms::lr;
}

// One panel (up to 16 rows of a batch) at the output of the network.
template <class T>
struct LossArgs {
  Loss loss;
  Activation activation;       // of the last layer; identity where the loss itself applies softmax or sigmoid
  Index units;                 // outputs of the network
  int lanes;                   // rows of the batch in this panel, 1..16
  const T* a;                  // [units][16] outputs, after `activation`
  const T* target;             // [units][16], or null where labels are given
  const std::int32_t* labels;  // [16], each 0 <= label < units (any number past the last row), or null
  T scale;                     // 1 / rows of the batch
  T* delta;                    // [units][16] gradient of the mean loss with respect to z, or null
  T* loss_rows;                // [16] loss of each row
  T* metric_rows;              // [16] of each row: right answers (classification) or sum of |a - target|
  T parameter = T(0);          // the number of a loss that has one; kinds.h says what it is called there
  const T* z = nullptr;        // [units][16], read where delta is wanted and derived_from_z(activation)
  const T* weights = nullptr;  // [16] what the delta of each row is multiplied by (0: it becomes 0), or null
};

// One layer of a small network, for passes over all layers in one call: a batch of one panel.
template <class T>
struct SmallLayer {
  Index fan_in;
  Index fan_out;
  Activation activation;
  Panels<T> w;        // rows = fan_in, lanes = fan_out
  T* b;               // padded to whole panels
  const T* x;         // [fan_in][16] what the layer reads: a of the one below
  T* a;               // [fan_out][16]
  T* delta;           // [fan_out][16]; may be that of the layer two below
  Panels<T> delta_t;  // rows = rows of the batch (room for 16), lanes = fan_out
  T* z = nullptr;     // [fan_out][16] kept where it is needed for f', else null
};

// One call of those that make up a pass over a small network: `run` is given the call itself. The rest is for it alone.
template <class T>
struct SmallCall {
  void (*run)(const SmallCall&) = nullptr;
  Index length = 0;
  int lanes = 0;
  Activation activation = Activation::identity;
  bool relu = false;
  Index jump = 0;
  const T *p = nullptr, *q = nullptr, *r = nullptr;
  T *out = nullptr, *beside = nullptr;
  const Update<T>* update = nullptr;
};

// Which numbers of base/random.h's generator a call takes. Philox's key is the seed; its counter for row r and unit u, of
// which four share a block (word u mod 4), is {u / 4, r, step, stream}. Rows count within the batch, units within the layer.
struct Draw {
  std::uint64_t seed;
  std::uint32_t step;
  std::uint32_t stream;
};

}  // namespace retrograd
