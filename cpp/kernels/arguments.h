// What kernels are told besides pointers and sizes: one struct for each kind of call that takes many
// numbers. The structs say some things about themselves; nothing else is computed here. The functions
// that take them, and their contracts, are in table.h.
#pragma once

#include <cstdint>
#include <limits>

#include "base/kinds.h"
#include "base/panel.h"

namespace retrograd {

// Which terms of sgd's rule are in use: the learning rate alone, momentum too, or any.
enum class Terms : int { unknown = 0, lr, momentum, every };

// One step for one array of parameters. s0, s1 and s2 below are arrays laid out as the parameters
// ("planes" of the state): s0 is where the functions take v, s1 lies `to_s1` values further, s2 `to_s2`
// values further. Every rule begins with
//   g = scale dw, held between -clip and clip;  w = shrink w;  g = g + weight_decay w + l1 sign(w)
// and goes on with its own lines:
//   rule     s0          s1        s2 (only where to_s2 is not 0)
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
  bool frozen = false;  // the passes over layers leave this array alone
  T keep = 1;
  T scale = 1;
  T clip = std::numeric_limits<T>::infinity();
  T shrink = 1;
  T l1 = 0;
  T beta1 = 0;
  T beta2 = 0;
  T eps = 0;
  T correction = 1;
  Index to_s1 = 0;               // distance from s0 to s1 in values
  Index to_s2 = 0;               // distance from s0 to s2 (adam's largest squares, rmsprop's means); 0: the rule has no s2
  Terms terms = Terms::unknown;  // terms_of() this update, found once for all products; unknown: each product finds it itself
  bool in_cache = false;         // parameters and state are few and stay in the cache: nothing is prefetched

  // Whether dw and db can take the step themselves. If not, they store the gradient, and `update`
  // follows.
  bool fused() const { return rule == Rule::sgd; }
};

// Precondition: u.fused().
template <class T>
constexpr Terms terms_of(const Update<T>& u) {
  const bool every = u.nesterov || u.weight_decay != 0 || u.keep != 1 || u.scale != 1 || u.shrink != 1 || u.l1 != 0 ||
                     u.clip != std::numeric_limits<T>::infinity();
  return every ? Terms::every : u.momentum != 0 ? Terms::momentum : Terms::lr;
}

// What a loss is told: one panel (up to 16 rows of a batch) at the output of the network.
template <class T>
struct LossArgs {
  Loss loss;
  Activation activation;       // the last layer's; identity where the loss applies its own to the outputs
  Index units;                 // outputs of the network
  int lanes;                   // rows of the batch in this panel, 1..16
  const T* a;                  // [units][16] outputs, after `activation`
  const T* target;             // [units][16], or null where labels are given
  const std::int32_t* labels;  // [16], each 0 <= label < units (any number past the last row), or null
  T scale;                     // factor of every delta: 1 / rows of the batch, or 1 where there are `weights`
  T* delta;                    // [units][16] gradient of the mean loss with respect to z, to be written; or null
  T* loss_rows;                // [16] loss of each row, to be written
  T* metric_rows;              // [16] of each row, to be written: right answers (classification) or the sum of |a - target|
  T parameter = T(0);          // the parameter of a loss that has one; base/kinds.h names it
  const T* z = nullptr;        // [units][16], read where delta is wanted and derived_from_z(activation)
  const T* weights = nullptr;  // [16] the share of each row, by which its delta is multiplied (0: it becomes 0), or null
};

// One layer of a small network, for passes over all layers in one call. The batch has one panel.
template <class T>
struct SmallLayer {
  Index fan_in;
  Index fan_out;
  Activation activation;
  Panels<T> w;         // rows = fan_in, lanes = fan_out
  T* b;                // padded to whole panels
  const T* x;          // [fan_in][16] what the layer reads: a of the level below
  T* a;                // [fan_out][16]
  T* delta;            // [fan_out][16]; may be the same memory as that of the layer two below
  Panels<T> delta_t;   // rows = rows of the batch (room for 16), lanes = fan_out
  T* z = nullptr;      // [fan_out][16] where f' needs it, else null
  bool biased = true;  // whether an update changes b
};

// One of the calls that make up a pass over a small network. `run` is given the call itself; only
// `run` knows the other fields.
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

// Which numbers of base/random.h's generator a call takes. Philox's key is the seed. Its counter for
// row r and unit u is {u / 4, r, step, stream}: four units share a block, and unit u takes word u mod
// 4. Rows count within the batch, units within the layer.
struct Draw {
  std::uint64_t seed;
  std::uint32_t step;
  std::uint32_t stream;
};

}  // namespace retrograd
