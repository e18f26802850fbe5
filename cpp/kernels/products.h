// The products that carry numbers through a network: forward and delta, over panels and over rows in
// any place. It is a part of kernels.cpp. The third product, dw, is in gradients.h.
#pragma once

#include "kernels/activate.h"
#include "kernels/simd.h"
#include "kernels/table.h"
#include "kernels/tiles.h"

namespace retrograd {
namespace {

template <class T_>
struct ForwardTile {
  using T = T_;
  struct Args {
    Index k;
    const T* w;
    Panels<const T> x;
    const T* bias;
    Panels<T> a;
    bool relu;
  };

  template <int MR, int NV>
  static RG_NOINLINE void run(const Args& p, Index row, Index lane) {
    tile<MR, NV>(p, row, lane);
  }
  template <int MR, int NV>
  static RG_INLINE void tile(const Args& p, Index row, Index lane) {
    V<T> c[MR][NV];
    T* a = p.a.data + row * kLanes + lane;
    if (p.bias) {
      RG_UNROLL for (int r = 0; r < MR; ++r) {
        const V<T> b = Ops<T>::broadcast(p.bias + row + r);
        RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = b;
      }
    } else {
      load_tile<T>(c, a, jump_of(p.a));
    }
    accumulate<T, MR, NV, 1, kLanes>(c, p.k, p.w + row, p.x.data + lane, jump_of(p.x));
    if (p.relu) {
      RG_UNROLL for (int r = 0; r < MR; ++r) { RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = relu<T>(c[r][j]); }
    }
    store_tile<T>(c, a, jump_of(p.a));
  }
};

template <class T>
void forward(Index k, Index units, int lanes, const T* w, Panels<const T> x, const T* bias, Panels<T> a, Panels<T> z, bool last,
             Activation activation) {
  const bool in_tile = last && !z.data && activation == Activation::relu;  // relu is cheap enough for the registers
  run_tiles<ForwardTile<T>>({k, w, x, bias, a, in_tile}, units, lanes);
  if (!last || in_tile) return;
  each_panel<T>(lanes, [&](Index p, int n) RG_LAMBDA {
    T* y = a.panel(p);
    if (z.data) map_rows(units, n, z.panel(p), [y](V<T>, Index i) RG_LAMBDA { return Ops<T>::load(y + i); });
    activate(units, n, y, activation);
  });
}

template <class T_>
struct ForwardRowsTile {
  using T = T_;
  struct Args {
    Index k;
    const T* const* x;
    Index offset;
    Panels<const T> w;
    const T* bias;
    Panels<T> z;
  };

  template <int MR, int NV>
  static RG_NOINLINE void run(const Args& p, Index row, Index lane) {
    V<T> c[MR][NV];
    T* z = p.z.data + row * kLanes + lane;
    const T* x[MR];
    RG_UNROLL for (int r = 0; r < MR; ++r) x[r] = p.x[row + r] + p.offset;
    if (p.bias) {
      RG_UNROLL for (int j = 0; j < NV; ++j) {
        const V<T> b = Ops<T>::load(p.bias + lane + j * Ops<T>::width);
        RG_UNROLL for (int r = 0; r < MR; ++r) c[r][j] = b;
      }
    } else {
      load_tile<T>(c, z, jump_of(p.z));
    }
    const T* w = p.w.data + lane;
    const Index jump = jump_of(p.w);
    Index k = 0;
    for (; k + 2 <= p.k; k += 2) {
      RG_UNROLL for (int u = 0; u < 2; ++u) one<MR, NV>(c, x, k + u, w + u * kLanes, jump);
      w += 2 * kLanes;
    }
    if (k < p.k) one<MR, NV>(c, x, k, w, jump);
    store_tile<T>(c, z, jump_of(p.z));
  }

  template <int MR, int NV>
  static RG_INLINE void one(V<T> (&c)[MR][NV], const T* const (&x)[MR], Index k, const T* w, Index jump) {
    V<T> b[NV];
    RG_UNROLL for (int j = 0; j < NV; ++j) b[j] = Ops<T>::load(w + place<T>(j, jump));
    RG_UNROLL for (int r = 0; r < MR; ++r) {
      const V<T> s = Ops<T>::broadcast(x[r] + k);
      RG_UNROLL for (int j = 0; j < NV; ++j) Ops<T>::add_product(c[r][j], s, b[j]);
    }
  }
};

// One row: vectors side by side, in tiles of 8, 4, 2 and 1.
template <class T, int NV>
RG_INLINE void run_row(const typename ForwardRowsTile<T>::Args& args, int v, int nv) {
  for (; v + NV <= nv; v += NV) {
    typename ForwardRowsTile<T>::Args here = args;
    const int panel = v / Ops<T>::per_panel;
    here.w = args.w.at(panel, 0);
    here.z = args.z.at(panel, 0);
    if (here.bias) here.bias += panel * kLanes;
    ForwardRowsTile<T>::template run<1, NV>(here, 0, v % Ops<T>::per_panel * Ops<T>::width);
  }
  if constexpr (NV > 1) run_row<T, NV / 2>(args, v, nv);
}

template <class T>
void forward_rows(Index k, Index rows, int lanes, const T* const* x, Index offset, Panels<const T> w, const T* bias,
                  Panels<T> z) {
  const typename ForwardRowsTile<T>::Args args{k, x, offset, w, bias, z};
  if (rows == 1) return run_row<T, kRowNv>(args, 0, vectors<T>(lanes));
  run_tiles<ForwardRowsTile<T>>(args, rows, lanes);
}

// The derivatives that a tile of delta takes in its registers. Any other would cost the inner loop some of them.
enum class InTile { none, relu, tanh };

template <class T_>
struct DeltaTile {
  using T = T_;
  struct Args {
    Index n;
    Panels<const T> w;
    Panels<const T> d;
    Panels<T> out;
    Panels<const T> a;
    bool first;
    InTile derive;
  };

  template <int MR, int NV>
  static RG_NOINLINE void run(const Args& p, Index row, Index lane) {
    tile<MR, NV>(p, row, lane);
  }
  template <int MR, int NV>
  static RG_INLINE void tile(const Args& p, Index row, Index lane) {
    V<T> c[MR][NV];
    const Index o = row * kLanes + lane;
    if (p.first) {
      clear_tile<T>(c);
    } else {
      load_tile<T>(c, p.out.data + o, jump_of(p.out));
    }
    accumulate_lanes<T, MR, NV>(c, p.n, p.w.data + row * kLanes, jump_of(p.w), p.d.data + lane, jump_of(p.d));
    if (p.derive == InTile::relu) {
      const Columns<const T, NV> a(p.a.data + o, jump_of(p.a));
      RG_UNROLL for (int r = 0; r < MR; ++r) {
        RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = relu_derivative<T>(c[r][j], Ops<T>::load(a.at(r, j)));
      }
    } else if (p.derive == InTile::tanh) {
      const Columns<const T, NV> a(p.a.data + o, jump_of(p.a));
      const V<T> one = Ops<T>::set(1);
      RG_UNROLL for (int r = 0; r < MR; ++r) {
        RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = tanh_derivative<T>(c[r][j], Ops<T>::load(a.at(r, j)), one);
      }
    }
    store_tile<T>(c, p.out.data + o, jump_of(p.out));
  }
};

RG_INLINE InTile derived_in_tile(Activation activation) {
  return activation == Activation::relu ? InTile::relu : activation == Activation::tanh ? InTile::tanh : InTile::none;
}

template <class T>
void delta(Index rows, Index n, int lanes, Panels<const T> w, Panels<const T> d, Panels<T> out, Panels<const T> a, bool first,
           bool last, Activation activation) {
  const InTile in_tile = last ? derived_in_tile(activation) : InTile::none;
  run_tiles<DeltaTile<T>>({n, w, d, out, a, first, in_tile}, rows, lanes);
  if (!last || in_tile != InTile::none || activation == Activation::identity) return;
  each_panel<T>(lanes, [&](Index p, int n_lanes) RG_LAMBDA { derive(rows, n_lanes, out.panel(p), a.panel(p), activation); });
}

// Loads one square of w, `left` of whose rows are real, and transposes it: lanes = rows of w.
template <class T, bool all>
RG_INLINE void load_turned(V<T> (&turned)[Ops<T>::width], const T* w, Index left) {
  RG_UNROLL for (int i = 0; i < Ops<T>::width; ++i) turned[i] = all || i < left ? Ops<T>::load(w + i * kLanes) : V<T>{};
  transpose_square<T>(turned);
}

// `all`: there is a whole vector of w's rows, and all lanes are real.
template <class T, bool all>
RG_INLINE void delta_block(Index left, Index rows, int lanes, const T* w, const V<T>* d, T* out, Index stride) {
  using O = Ops<T>;
  constexpr int W = O::width;
  const auto add = [=](V<T> sum, const V<T>(&turned)[W], int n, Index r) RG_LAMBDA {
    RG_UNROLL for (int i = 0; i < W; ++i) {
      if (all || n + i < lanes) sum = O::fma(d[r * kLanes + n + i], turned[i], sum);
    }
    return sum;
  };
  V<T> turned[W];
  if (rows == 1) {
    V<T> sum = O::load(out);
    RG_UNROLL for (int n = 0; n < kLanes; n += W) {
      load_turned<T, all>(turned, w + n, left);
      sum = add(sum, turned, n, 0);
    }
    return O::store(out, sum);
  }
  RG_UNROLL for (int n = 0; n < kLanes; n += W) {
    load_turned<T, all>(turned, w + n, left);
    for (Index r = 0; r < rows; ++r) O::store(out + r * stride, add(O::load(out + r * stride), turned, n, r));
  }
}

template <class T>
void delta_rows(Index units, Index rows, int lanes, const T* w, const T* const* d, Index offset, T* out, Index stride) {
  constexpr int W = Ops<T>::width;
  V<T> values[kDeltaRows * kLanes];  // each of them in every lane of a vector
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < lanes; ++i) values[r * kLanes + i] = Ops<T>::broadcast(d[r] + offset + i);
  }
  const Index whole = lanes == kLanes ? units / W * W : 0;
  for (Index k = 0; k < whole; k += W) delta_block<T, true>(W, rows, lanes, w + k * kLanes, values, out + k, stride);
  for (Index k = whole; k < units; k += W) {
    delta_block<T, false>(units - k, rows, lanes, w + k * kLanes, values, out + k, stride);
  }
}

template <class T>
constexpr Products<T> product_kernels() {
  Products<T> table{};
  table.forward = forward<T>;
  table.forward_rows = forward_rows<T>;
  table.delta = delta<T>;
  table.delta_rows = delta_rows<T>;
  return table;
}

}  // namespace
}  // namespace retrograd
