// Passes over small networks, as lists of calls. A part of kernels.cpp.
// It multiplies nothing itself: the tiles are those of products.h and gradients.h, N rows by one vector.
//
// A layer of few units is some ten instructions of arithmetic a row, and finding out what to do next would be as many
// again: so that is found out once, and written down.
#pragma once

#include "kernels/activate.h"
#include "kernels/gradients.h"
#include "kernels/moves.h"
#include "kernels/products.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

constexpr Index kSmallRows = 8;  // of the tallest tile

// Writes calls one after the other; only counts them where there is no place.
template <class T>
struct Calls {
  SmallCall<T>* place;
  Index count = 0;

  void add(const SmallCall<T>& call) {
    if (place) place[count] = call;
    ++count;
  }
};

// ---------------------------------------------------------------------------------------------- what is called

template <class T, int N>
void small_forward_tile(const SmallCall<T>& c) {
  ForwardTile<T>::template tile<N, 1>({c.length, c.p, {c.q, 0}, c.r, {c.out, 0}, c.relu}, 0, 0);
}

// `activation`: the one below if its derivative is taken here, else identity.
template <class T, int N>
void small_delta_tile(const SmallCall<T>& c) {
  DeltaTile<T>::template tile<N, 1>(
      {c.length, {c.p, c.jump}, {c.q, 0}, {c.out, 0}, {c.r, 0}, true, derived_in_tile(c.activation)}, 0, 0);
}

// dw with an update. Without one its sums are a tile of delta, which writes them to `out`.
template <class T, Mode M, int N>
void small_dw_tile(const SmallCall<T>& c) {
  DwTile<T, M>::template tile<N, 1>({c.length, {c.p, 0}, {c.q, 0}, {}, {c.out, 0}, {c.beside, 0}, c.update, true}, 0, 0);
}

template <class T, Mode M>
void small_db(const SmallCall<T>& c) {
  db_vector<T, M>(c.length, 0, c.q, c.beside, c.out, c.beside, c.update);
}

template <class T>
void small_keep_z(const SmallCall<T>& c) {
  map_rows(c.length, c.lanes, c.out, [&c](V<T>, Index i) RG_LAMBDA { return Ops<T>::load(c.p + i); });
}

template <class T>
void small_activate(const SmallCall<T>& c) {
  activate(c.length, c.lanes, c.out, c.activation);
}

template <class T>
void small_derive(const SmallCall<T>& c) {
  derive(c.length, c.lanes, c.out, c.p, c.activation);
}

template <class T>
void small_transpose(const SmallCall<T>& c) {
  transpose(c.length, c.lanes, c.p, c.out);
}

// ---------------------------------------------------------------------------------------------- what to call

// Tiles by their rows, less one.
template <class T>
using SmallTile = void (*)(const SmallCall<T>&);
template <class T>
constexpr SmallTile<T> kSmallForward[kSmallRows] = {
    small_forward_tile<T, 1>, small_forward_tile<T, 2>, small_forward_tile<T, 3>, small_forward_tile<T, 4>,
    small_forward_tile<T, 5>, small_forward_tile<T, 6>, small_forward_tile<T, 7>, small_forward_tile<T, 8>};
template <class T>
constexpr SmallTile<T> kSmallDelta[kSmallRows] = {small_delta_tile<T, 1>, small_delta_tile<T, 2>, small_delta_tile<T, 3>,
                                                  small_delta_tile<T, 4>, small_delta_tile<T, 5>, small_delta_tile<T, 6>,
                                                  small_delta_tile<T, 7>, small_delta_tile<T, 8>};
template <class T, Mode M>
constexpr SmallTile<T> kSmallDw[kSmallRows] = {small_dw_tile<T, M, 1>, small_dw_tile<T, M, 2>, small_dw_tile<T, M, 3>,
                                               small_dw_tile<T, M, 4>, small_dw_tile<T, M, 5>, small_dw_tile<T, M, 6>,
                                               small_dw_tile<T, M, 7>, small_dw_tile<T, M, 8>};
template <class T, Mode M>
constexpr const SmallTile<T>* small_dw_tiles() {
  if constexpr (M == kStore) {
    return kSmallDelta<T>;
  } else {
    return kSmallDw<T, M>;
  }
}

// f(first row, rows, tile) for tiles of nearly equal height.
template <class T, class F>
void each_small_tile(Index rows, const SmallTile<T>* tiles, F f) {
  const Index count = (rows + kSmallRows - 1) / kSmallRows;
  for (Index i = 0, row = 0; i < count; ++i) {
    const Index height = (rows - row) / (count - i);
    f(row, tiles[height - 1]);
    row += height;
  }
}

template <class T>
Index small_forward(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>* place) {
  Calls<T> calls{place};
  for (const SmallLayer<T>* l = layers; l < layers + depth; ++l) {
    const bool in_tile = l->activation == Activation::relu && !l->z;
    for (Index v = 0; v < lanes; v += Ops<T>::width) {
      for (Index unit = 0; unit < l->fan_out; unit += kLanes) {  // within a panel of w
        const Index units = l->fan_out - unit < kLanes ? l->fan_out - unit : kLanes;
        each_small_tile(units, kSmallForward<T>, [&](Index row, SmallTile<T> tile) {
          SmallCall<T> c{tile, l->fan_in};
          c.p = l->w.panel(unit / kLanes) + row;
          c.q = l->x + v;
          c.r = l->b + unit + row;
          c.out = l->a + (unit + row) * kLanes + v;
          c.relu = in_tile;
          calls.add(c);
        });
      }
    }
    SmallCall<T> whole{small_keep_z<T>, l->fan_out, lanes, l->activation};
    whole.p = l->a;
    whole.out = l->z;
    if (l->z) calls.add(whole);
    whole.run = small_activate<T>;
    whole.out = l->a;
    if (!in_tile && l->activation != Activation::identity) calls.add(whole);
  }
  return calls.count;
}

template <class T>
Index small_backward(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>* place) {
  Calls<T> calls{place};
  for (const SmallLayer<T>* l = layers + depth - 1;; --l) {
    for (Index unit = 0; unit < l->fan_out; unit += kLanes) {
      SmallCall<T> c{small_transpose<T>, l->fan_out - unit < kLanes ? l->fan_out - unit : kLanes, lanes};
      c.p = l->delta + unit * kLanes;
      c.out = l->delta_t.panel(unit / kLanes);
      calls.add(c);
    }
    if (l == layers) return calls.count;
    const SmallLayer<T>& below = l[-1];
    const bool in_tile = derived_in_tile(below.activation) != InTile::none;
    for (Index v = 0; v < lanes; v += Ops<T>::width) {
      each_small_tile(l->fan_in, kSmallDelta<T>, [&](Index row, SmallTile<T> tile) {
        const Index o = row * kLanes + v;
        SmallCall<T> c{tile, l->fan_out};
        c.p = l->w.data + row * kLanes;
        c.jump = l->w.rows;
        c.q = l->delta + v;
        c.r = l->x + o;
        if (in_tile) c.activation = below.activation;
        c.out = below.delta + o;
        calls.add(c);
      });
    }
    SmallCall<T> whole{small_derive<T>, l->fan_in, lanes, below.activation};
    whole.p = derived_from(below.activation, l->x, below.z);
    whole.out = below.delta;
    if (!in_tile && below.activation != Activation::identity) calls.add(whole);
  }
}

template <class T>
Index small_update(Index depth, const SmallLayer<T>* layers, int lanes, const T* parameters, T* beside, const Update<T>* update,
                   SmallCall<T>* place) {
  Calls<T> calls{place};
  with_mode(update, [&](auto mode) {
    constexpr Mode M = decltype(mode)::value;
    for (const SmallLayer<T>* l = layers; l < layers + depth; ++l) {
      for (Index unit = 0; unit < l->fan_out; unit += Ops<T>::width) {
        const Index panel = unit / kLanes, lane = unit % kLanes;
        const auto call = [&](SmallTile<T> run, T* parameter) {
          SmallCall<T> c{run, lanes};
          c.q = l->delta_t.panel(panel) + lane;
          c.out = parameter;
          c.beside = beside ? beside + (parameter - parameters) : nullptr;
          c.update = update;
          return c;
        };
        each_small_tile(l->fan_in, small_dw_tiles<T, M>(), [&](Index row, SmallTile<T> tile) {
          SmallCall<T> c = call(tile, l->w.row(panel, row) + lane);
          c.p = l->x + row * kLanes;
          if (M == kStore) c.out = c.beside;
          calls.add(c);
        });
        if (l->biased) calls.add(call(small_db<T, M>, l->b + unit));
      }
    }
  });
  return calls.count;
}

template <class T>
constexpr Small<T> small_kernels() {
  Small<T> table{};
  table.small_forward = small_forward<T>;
  table.small_backward = small_backward<T>;
  table.small_update = small_update<T>;
  return table;
}

}  // namespace
}  // namespace retrograd
