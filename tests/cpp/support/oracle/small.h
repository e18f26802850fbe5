// The passes of a small network, layer by layer with the other parts of the oracle, done at
// once: there is no list of calls.
#pragma once

#include <algorithm>

#include "support/oracle/gradients.h"
#include "support/oracle/moves.h"
#include "support/oracle/products.h"

namespace retrograd::testing::oracle {

template <class O>
struct Small {
  using T = typename O::T;

  static Index small_forward(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>*) {
    for (Index l = 0; l < depth; ++l) {
      const SmallLayer<T>& layer = layers[l];
      for (Index j = 0; j < layer.fan_out; j += kLanes) {
        Products<O>::forward(layer.fan_in, std::min(kLanes, layer.fan_out - j), lanes, layer.w.panel(j / kLanes), {layer.x, 0},
                             layer.b + j, {layer.a + j * kLanes, 0}, {layer.z ? layer.z + j * kLanes : nullptr, 0}, true,
                             layer.activation);
      }
      if (layer.activation == Activation::softmax) Activations<O>::activate(layer.fan_out, lanes, layer.a, layer.activation);
    }
    return 0;
  }

  static Index small_backward(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>*) {
    for (Index l = depth - 1; l >= 0; --l) {
      const SmallLayer<T>& layer = layers[l];
      for (Index j = 0; j < layer.fan_out; j += kLanes) {
        Moves<O>::transpose(std::min(kLanes, layer.fan_out - j), lanes, layer.delta + j * kLanes,
                            layer.delta_t.panel(j / kLanes));
      }
      if (l == 0) break;
      const SmallLayer<T>& below = layers[l - 1];
      Products<O>::delta(layer.fan_in, layer.fan_out, lanes, {layer.w.data, layer.w.rows}, {layer.delta, 0}, {below.delta, 0},
                         {derived_from_z(below.activation) ? below.z : layer.x, 0}, true, true, below.activation);
    }
    return 0;
  }

  static Index small_update(Index depth, const SmallLayer<T>* layers, int lanes, const T* parameters, T* beside,
                            const Update<T>* update, SmallCall<T>*) {
    for (Index l = 0; l < depth; ++l) {
      const SmallLayer<T>& layer = layers[l];
      for (Index j = 0; j < layer.fan_out; j += kLanes) {
        T *w = layer.w.panel(j / kLanes), *b = layer.b + j;
        T *beside_w = beside ? beside + (w - parameters) : nullptr, *beside_b = beside ? beside + (b - parameters) : nullptr;
        const T* d = layer.delta_t.panel(j / kLanes);
        Gradients<O>::dw(layer.fan_in, lanes, static_cast<int>(std::min(kLanes, layer.fan_out - j)), {layer.x, 0}, {d, 0},
                         {beside_w, 0}, true, true, {w, 0}, {beside_w, 0}, update);
        if (layer.biased) Gradients<O>::db(lanes, d, beside_b, b, beside_b, update);
      }
    }
    return 0;
  }
};

}  // namespace retrograd::testing::oracle
