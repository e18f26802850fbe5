// The gradients of weights and biases, and the step of sgd that a gradient can take while it is still in registers: dw,
// dw_rows, db. A part of kernels.cpp. The other rules, and sgd as a pass of its own, are in updates.h.
#pragma once

#include "kernels/products.h"
#include "kernels/simd.h"
#include "kernels/table.h"
#include "kernels/tiles.h"

namespace retrograd {
namespace {

// How dw ends: its sums are stored, or sgd takes its step from the registers that hold them. With every term of sgd (kGeneral)
// the step has too many numbers for the registers of a tall tile: there the sums of some rows are stored in the cache, and the
// step follows. The tiles of small networks, which are low, have the registers.
enum Mode { kStore, kPlain, kMomentum, kGeneral };

// Precondition: u is null or u->fused().
template <class T>
RG_INLINE Mode mode_of(const Update<T>* u) {
  if (!u) return kStore;
  switch (u->terms == Terms::unknown ? terms_of(*u) : u->terms) {
    case Terms::lr:
      return kPlain;
    case Terms::momentum:
      return kMomentum;
    default:
      return kGeneral;
  }
}

// each(Mode) with the mode of an update as a constant.
template <Mode M>
struct Constant {
  static constexpr Mode value = M;
};
template <class T, class Each>
RG_INLINE void with_mode(const Update<T>* u, Each each) {
  switch (mode_of(u)) {
    case kStore:
      return each(Constant<kStore>{});
    case kPlain:
      return each(Constant<kPlain>{});
    case kMomentum:
      return each(Constant<kMomentum>{});
    case kGeneral:
      return each(Constant<kGeneral>{});
  }
}

// An update's numbers, one to each lane.
template <class T>
struct Rates {
  V<T> minus_lr, momentum, weight_decay, keep, scale, clip, shrink, l1;
  bool nesterov, sparse;

  explicit RG_INLINE Rates(const Update<T>& u)
      : minus_lr(-Ops<T>::broadcast(&u.lr)),
        momentum(Ops<T>::broadcast(&u.momentum)),
        weight_decay(Ops<T>::broadcast(&u.weight_decay)),
        keep(Ops<T>::broadcast(&u.keep)),
        scale(Ops<T>::broadcast(&u.scale)),
        clip(Ops<T>::broadcast(&u.clip)),
        shrink(Ops<T>::broadcast(&u.shrink)),
        l1(Ops<T>::broadcast(&u.l1)),
        nesterov(u.nesterov),
        sparse(u.l1 != 0) {}

  // What every rule begins with.
  RG_INLINE V<T> prepared(V<T> gradient, V<T>& w) const {
    gradient = gradient * scale;
    gradient = Ops<T>::select(gradient > clip, clip, gradient);
    gradient = Ops<T>::select(gradient < -clip, -clip, gradient);
    w = w * shrink;
    gradient = Ops<T>::fma(weight_decay, w, gradient);
    if (sparse) gradient += Ops<T>::select(w > V<T>{}, l1, Ops<T>::select(w < V<T>{}, -l1, w));
    return gradient;
  }
};

// One vector's step at w and v. Without momentum v is not touched: it is null with kGeneral, and anything with kPlain.
template <class T, Mode M>
RG_INLINE void update_vector(V<T> gradient, T* w, T* v, const Rates<T>& rates) {
  using O = Ops<T>;
  V<T> weight = O::load(w);
  if constexpr (M == kGeneral) gradient = rates.prepared(gradient, weight);
  if constexpr (M == kMomentum || M == kGeneral) {
    if (M == kMomentum || v) {
      const V<T> velocity = O::fma(rates.momentum, O::load(v), M == kGeneral ? rates.keep * gradient : gradient);
      O::store(v, velocity);
      gradient = M == kGeneral && rates.nesterov ? O::fma(rates.momentum, velocity, gradient) : velocity;
    }
  }
  O::store(w, O::fma(rates.minus_lr, gradient, weight));
}

// What to do with the tile whose first element lies at offset o: store it as the gradient, or take the step.
template <class T, Mode M, int MR, int NV>
RG_INLINE void finish_dw(const V<T> (&c)[MR][NV], Index o, Panels<T> g, Panels<T> w_, Panels<T> v_, const Update<T>* update) {
  if constexpr (M == kStore) {
    store_tile<T>(c, g.data + o, jump_of(g));
  } else {
    T* w = w_.data + o;
    T* v = v_.data;
    const bool moves = M == kMomentum || (M == kGeneral && update->momentum != 0);
    if (moves) v += o;
    asm("" : "+r"(w), "+r"(v));  // else the addresses of the prefetches stay in registers, and spill
    const Rates<T> rates(*update);
    const Columns<T, NV> weights(w, jump_of(w_)), velocities(v, moves ? jump_of(v_) : 0);
    RG_UNROLL for (int r = 0; r < MR; ++r) {
      RG_UNROLL for (int j = 0; j < NV; ++j) {
        update_vector<T, M>(c[r][j], weights.at(r, j), moves ? velocities.at(r, j) : nullptr, rates);
      }
    }
  }
}

// The lines that the update will write are fetched, as this core's own, while the sum is taken.
template <class T, Mode M, int MR, int NV>
RG_INLINE void prefetch_update(Index o, Panels<T> w, Panels<T> v, const Update<T>* update) {
  if constexpr (M != kStore) {
    if (update->in_cache) return;
    constexpr int step = Ops<T>::per_panel < NV ? Ops<T>::per_panel : NV;
    RG_UNROLL for (int r = 0; r < MR; ++r) {
      RG_UNROLL for (int j = 0; j < NV; j += step) {
        __builtin_prefetch(w.data + o + r * kLanes + place<T>(j, jump_of(w)), 1);
        if constexpr (M == kMomentum) __builtin_prefetch(v.data + o + r * kLanes + place<T>(j, jump_of(v)), 1);
      }
    }
  }
}

// kGeneral's step from sums that are stored.
template <class T>
RG_INLINE void take_step(Index rows, int lanes, Panels<const T> sums, Panels<T> w, Panels<T> v, const Update<T>& update) {
  const Rates<T> rates(update);
  for (int j = 0; j < vectors<T>(lanes); ++j) {
    const T* sum = sums.data + place<T>(j, jump_of(sums));
    T* weight = w.data + place<T>(j, jump_of(w));
    T* velocity = update.momentum != 0 ? v.data + place<T>(j, jump_of(v)) : nullptr;
    for (Index o = 0; o < rows * kLanes; o += kLanes) {
      update_vector<T, kGeneral>(Ops<T>::load(sum + o), weight + o, velocity ? velocity + o : nullptr, rates);
    }
  }
}

// The lines that take_step will write are fetched while the sums are taken.
template <class T>
RG_INLINE void fetch_step(Index rows, int lanes, Panels<T> w, Panels<T> v, const Update<T>& update) {
  for (Index p = 0; !update.in_cache && p < panels(lanes); ++p) {
    for (Index r = 0; r < rows; ++r) {
      __builtin_prefetch(w.row(p, r), 1);
      if (update.momentum != 0) __builtin_prefetch(v.row(p, r), 1);
    }
  }
}

// kGeneral: sum(first row, rows, g) stores the sums of some rows in g, and the step is taken from there.
template <class T, class Sum>
RG_INLINE void sum_and_step(Index rows, int lanes, Panels<T> g, bool first, Panels<T> w, Panels<T> v, const Update<T>& update,
                            Sum sum) {
  constexpr Index most = 48;  // whole tiles of every height
  alignas(64) T scratch[kGroup<T> * most * kLanes];
  for (Index row = 0; row < rows; row += most) {
    const Index n = rows - row < most ? rows - row : most;
    const Panels<T> sums = first ? Panels<T>{scratch, most} : g.at(0, row);  // g holds what earlier blocks gave
    fetch_step(n, lanes, w.at(0, row), v.at(0, row), update);
    sum(row, n, sums);
    take_step<T>(n, lanes, sums, w.at(0, row), v.at(0, row), update);
  }
}

// A tile of dw that takes a step. One that stores its sums is a tile of delta: the same product of other operands.
template <class T_, Mode M>
struct DwTile {
  using T = T_;
  struct Args {
    Index m;
    Panels<const T> a;
    Panels<const T> d;
    Panels<T> g;
    Panels<T> w;
    Panels<T> v;
    const Update<T>* update;
    bool first;
  };

  template <int MR, int NV>
  static RG_NOINLINE void run(const Args& p, Index row, Index lane) {
    prefetch_update<T, M, MR, NV>(row * kLanes + lane, p.w, p.v, p.update);
    tile<MR, NV>(p, row, lane);
  }
  template <int MR, int NV>
  static RG_INLINE void tile(const Args& p, Index row, Index lane) {
    V<T> c[MR][NV];
    const Index o = row * kLanes + lane;
    if (p.first) {
      clear_tile<T>(c);
    } else {
      load_tile<T>(c, p.g.data + o, jump_of(p.g));
    }
    accumulate_lanes<T, MR, NV>(c, p.m, p.a.data + row * kLanes, jump_of(p.a), p.d.data + lane, jump_of(p.d));
    finish_dw<T, M>(c, o, p.g, p.w, p.v, p.update);
  }
};

template <class T>
RG_ONCE void dw_general(Index rows, Index m, int lanes, Panels<const T> a, Panels<const T> d, Panels<T> g, bool first,
                        Panels<T> w, Panels<T> v, const Update<T>& update) {
  sum_and_step(rows, lanes, g, first, w, v, update, [=](Index row, Index n, Panels<T> sums) RG_LAMBDA {
    run_tiles<DeltaTile<T>>({m, a.at(0, row), d, sums, {}, first, InTile::none}, n, lanes);
  });
}

template <class T>
void dw(Index rows, Index m, int lanes, Panels<const T> a, Panels<const T> d, Panels<T> g, bool first, bool last, Panels<T> w,
        Panels<T> v, const Update<T>* update) {
  with_mode(last ? update : nullptr, [=](auto mode) RG_LAMBDA {
    constexpr Mode M = decltype(mode)::value;
    if constexpr (M == kStore) {
      run_tiles<DeltaTile<T>>({m, a, d, g, {}, first, InTile::none}, rows, lanes);
    } else if constexpr (M == kGeneral) {
      dw_general(rows, m, lanes, a, d, g, first, w, v, *update);
    } else {
      run_tiles<DwTile<T, M>>({m, a, d, g, w, v, update, first}, rows, lanes);
    }
  });
}

template <class T_, Mode M>
struct DwRowsTile {
  using T = T_;
  struct Args {
    Index m;
    const T* const* x;
    Index offset;
    Panels<const T> d;
    Panels<T> g;
    Panels<T> w;
    Panels<T> v;
    const Update<T>* update;
  };

  template <int MR, int NV>
  static RG_NOINLINE void run(const Args& p, Index row, Index lane) {
    V<T> c[MR][NV];
    const Index o = row * kLanes + lane;
    prefetch_update<T, M, MR, NV>(o, p.w, p.v, p.update);
    clear_tile<T>(c);
    const Index offset = p.offset + row, jump = jump_of(p.d);
    const T* d = p.d.data + lane;
    Index m = 0;
    for (; m + 2 <= p.m; m += 2) {
      RG_UNROLL for (int u = 0; u < 2; ++u) step<T, MR, NV, 1>(c, values(p.x[m + u], offset), d + u * kLanes, jump);
      d += 2 * kLanes;
    }
    if (m < p.m) step<T, MR, NV, 1>(c, values(p.x[m], offset), d, jump);
    finish_dw<T, M>(c, o, p.g, p.w, p.v, p.update);
  }

  // One pointer for all values of a row; else the compiler keeps an offset for each of them, and spills some.
  static RG_INLINE const T* values(const T* x, Index offset) {
    x += offset;
    asm("" : "+r"(x));
    return x;
  }
};

template <class T>
RG_ONCE void dw_rows_general(Index rows, Index m, int lanes, const T* const* x, Index offset, Panels<const T> d, Panels<T> g,
                             Panels<T> w, Panels<T> v, const Update<T>& update) {
  sum_and_step(rows, lanes, g, true, w, v, update, [=](Index row, Index n, Panels<T> sums) RG_LAMBDA {
    run_tiles<DwRowsTile<T, kStore>>({m, x, offset + row, d, sums, {}, {}, nullptr}, n, lanes);
  });
}

template <class T>
void dw_rows(Index rows, Index m, int lanes, const T* const* x, Index offset, Panels<const T> d, Panels<T> g, Panels<T> w,
             Panels<T> v, const Update<T>* update) {
  with_mode(update, [=](auto mode) RG_LAMBDA {
    constexpr Mode M = decltype(mode)::value;
    if constexpr (M == kGeneral) {
      dw_rows_general(rows, m, lanes, x, offset, d, g, w, v, *update);
    } else {
      run_tiles<DwRowsTile<T, M>>({m, x, offset, d, g, w, v, update}, rows, lanes);
    }
  });
}

// One vector of db, at lane o.
template <class T, Mode M>
RG_INLINE void db_vector(Index m, Index o, const T* d, T* g, T* w, T* v, const Update<T>* update) {
  using O = Ops<T>;
  const T* p = d + o;
  V<T> s0{}, s1{}, s2{}, s3{};
  for (; m >= 4; m -= 4, p += 4 * kLanes) {
    s0 += O::load(p);
    s1 += O::load(p + kLanes);
    s2 += O::load(p + 2 * kLanes);
    s3 += O::load(p + 3 * kLanes);
  }
  if (m > 0) s0 += O::load(p);
  if (m > 1) s1 += O::load(p + kLanes);
  if (m > 2) s2 += O::load(p + 2 * kLanes);
  const V<T> sum[1][1] = {{(s0 + s1) + (s2 + s3)}};
  finish_dw<T, M>(sum, o, {g, 0}, {w, 0}, {v, 0}, update);
}

template <class T>
void db(Index m, const T* d, T* g, T* w, T* v, const Update<T>* update) {
  with_mode(update, [=](auto mode) RG_LAMBDA {
    for (Index o = 0; o < kLanes; o += Ops<T>::width) db_vector<T, decltype(mode)::value>(m, o, d, g, w, v, update);
  });
}

template <class T>
constexpr Gradients<T> gradient_kernels() {
  Gradients<T> table{};
  table.dw = dw<T>;
  table.dw_rows = dw_rows<T>;
  table.db = db<T>;
  return table;
}

}  // namespace
}  // namespace retrograd
