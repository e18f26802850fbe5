// Register tiles: how a product is cut, and the inner loop that all of the products share. A part of kernels.cpp.
// It knows neither what is summed nor what happens to a sum: products.h and gradients.h do.
//
// A tile is MR rows x NV vectors of sums in registers; each step broadcasts MR values of one operand against NV vectors
// of the other. Rows are cut into tiles of nearly equal height (16 = 6 + 5 + 5), because the few sums of a short tile
// wait for their own adds. Sizes: AVX2 6x2 (12x1 where there is one vector), AVX-512 8x2, NEON 6x4. A row of float32
// fills one vector of AVX-512: a tile there takes two panels, one vector of each. cpp/README.md has the measurements.
#pragma once

#include <type_traits>

#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

// Where a row of a panel is one vector, a tile takes two panels: else every multiply-add would wait for its own broadcast.
template <class T>
constexpr int kGroup = Ops<T>::per_panel == 1 && kRegisters == 32 ? 2 : 1;

template <class T>
constexpr int kNv = kGroup<T>* Ops<T>::per_panel < 2 ? 1 : (kRegisters == 32 && Ops<T>::per_panel >= 4 ? 4 : 2);

template <class T, int NV = kNv<T>>
constexpr int kMr = kRegisters == 32 ? (NV == 1   ? 16
                                        : NV == 2 ? 8
                                                  : 6)
                    : NV == 1        ? 12
                                     : (kFused ? 6 : 4);

// Vectors of the tile of a single row.
constexpr int kRowNv = 8;
template <class T>
constexpr int kRowGroup = kRowNv / Ops<T>::per_panel > kGroup<T> ? kRowNv / Ops<T>::per_panel : kGroup<T>;

// Where vector j of a tile lies, from its first one: within the panel, or in the one that lies `jump` values further.
template <class T>
RG_INLINE Index place(int j, Index jump) {
  return j / Ops<T>::per_panel * jump + j % Ops<T>::per_panel * Ops<T>::width;
}

template <class T>
RG_INLINE Index jump_of(const Panels<T>& p) {
  return p.rows * kLanes;
}

// Where the columns of a tile begin: one pointer a panel, which the compiler is kept from computing anew for each row.
template <class P, int NV>
struct Columns {
  using T = std::remove_const_t<P>;
  static constexpr int count = (NV + Ops<T>::per_panel - 1) / Ops<T>::per_panel;
  P* panel[count];

  RG_INLINE Columns(P* p, Index jump) {
    panel[0] = p;
    RG_UNROLL for (int i = 1; i < count; ++i) {
      panel[i] = p + i * jump;
      asm("" : "+r"(panel[i]));
    }
  }
  RG_INLINE P* at(int r, int j) const {
    return panel[j / Ops<T>::per_panel] + r * kLanes + j % Ops<T>::per_panel * Ops<T>::width;
  }
};

// c[r][j] += a[r * RowStride] * b[j]
template <class T, int MR, int NV, Index RowStride>
RG_INLINE void step(V<T> (&c)[MR][NV], const T* a, const T* b, Index b_jump) {
  V<T> x[NV];
  RG_UNROLL for (int j = 0; j < NV; ++j) x[j] = Ops<T>::load(b + place<T>(j, b_jump));
  RG_UNROLL for (int r = 0; r < MR; ++r) {
    const V<T> s = Ops<T>::broadcast(a + r * RowStride);
    RG_UNROLL for (int j = 0; j < NV; ++j) Ops<T>::add_product(c[r][j], s, x[j]);
  }
}

// k steps by four, as far as they go; a moves by StepStride, b by a panel's row. Gives how many steps are left.
template <class T, int MR, int NV, Index RowStride, Index StepStride>
RG_INLINE Index accumulate_fours(V<T> (&c)[MR][NV], Index k, const T*& a, const T*& b, Index b_jump) {
  for (; k >= 4; k -= 4) {
    RG_UNROLL for (int u = 0; u < 4; ++u) step<T, MR, NV, RowStride>(c, a + u * StepStride, b + u * kLanes, b_jump);
    a += 4 * StepStride;
    b += 4 * kLanes;
  }
  return k;
}

// k steps.
template <class T, int MR, int NV, Index RowStride, Index StepStride>
RG_INLINE void accumulate(V<T> (&c)[MR][NV], Index k, const T* a, const T* b, Index b_jump) {
  for (k = accumulate_fours<T, MR, NV, RowStride, StepStride>(c, k, a, b, b_jump); k > 0; --k) {
    step<T, MR, NV, RowStride>(c, a, b, b_jump);
    a += StepStride;
    b += kLanes;
  }
}

// The reduction runs along the lanes of a: 16 within a panel, then on to the next. One loop for all panels has one branch,
// which is foreseen where two loops of few rounds are not.
template <class T, int MR, int NV>
RG_INLINE void accumulate_lanes(V<T> (&c)[MR][NV], Index n, const T* a, Index a_jump, const T* b, Index b_jump) {
  const Index wrap = a_jump - kLanes;
  Index lane = 0;
  for (; n >= 4; n -= 4) {
    RG_UNROLL for (int u = 0; u < 4; ++u) step<T, MR, NV, kLanes>(c, a + u, b + u * kLanes, b_jump);
    lane = (lane + 4) % kLanes;
    a += 4 + (wrap & ((lane - 1) >> 63));  // without a branch: at lane 0 it goes on to the next panel
    b += 4 * kLanes;
  }
  // unrolled, these few steps would be a third of a tile's code, and g++ would spill sums of the loop above
  RG_NO_UNROLL for (; n > 0; --n) {
    step<T, MR, NV, kLanes>(c, a++, b, b_jump);
    b += kLanes;
  }
}

template <class T, int MR, int NV>
RG_INLINE void load_tile(V<T> (&c)[MR][NV], const T* p, Index jump) {
  const Columns<const T, NV> columns(p, jump);
  RG_UNROLL for (int r = 0; r < MR; ++r) { RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = Ops<T>::load(columns.at(r, j)); }
}

template <class T, int MR, int NV>
RG_INLINE void store_tile(const V<T> (&c)[MR][NV], T* p, Index jump) {
  const Columns<T, NV> columns(p, jump);
  RG_UNROLL for (int r = 0; r < MR; ++r) { RG_UNROLL for (int j = 0; j < NV; ++j) Ops<T>::store(columns.at(r, j), c[r][j]); }
}

template <class T, int MR, int NV>
RG_INLINE void clear_tile(V<T> (&c)[MR][NV]) {
  RG_UNROLL for (int r = 0; r < MR; ++r) { RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = V<T>{}; }
}

// F::run<MR, NV>(args, row, lane) for every tile of rows x nv vectors.
template <class F, int MR, int NV>
RG_INLINE void run_columns(const typename F::Args& args, Index row, int nv) {
  using T = typename F::T;
  int v = 0;
  for (; v + NV <= nv; v += NV) F::template run<MR, NV>(args, row, v * Ops<T>::width);
  if constexpr (NV > 1) {
    for (; v < nv; ++v) F::template run<MR, 1>(args, row, v * Ops<T>::width);
  }
}

template <class F, int MR, int NV>
RG_INLINE void run_height(const typename F::Args& args, int mr, Index row, int nv) {
  if (mr == MR) {
    run_columns<F, MR, NV>(args, row, nv);
  } else if constexpr (MR > 1) {
    run_height<F, MR - 1, NV>(args, mr, row, nv);
  }
}

template <class F, int NV>
RG_INLINE void run_tiles_of(const typename F::Args& args, Index rows, int nv) {
  constexpr unsigned mr = kMr<typename F::T, NV>, full = static_cast<unsigned>(kLanes);
  if (rows == kLanes) {  // most panels: no division
    constexpr unsigned count = (full + mr - 1) / mr, height = full / count, taller = full % count;
    for (unsigned t = 0; t < taller; ++t) run_columns<F, height + (taller > 0), NV>(args, t * (height + 1), nv);
    for (unsigned t = taller; t < count; ++t) run_columns<F, height, NV>(args, t * height + taller, nv);
    return;
  }
  const unsigned n = static_cast<unsigned>(rows);
  if (n <= mr) return run_height<F, static_cast<int>(mr), NV>(args, static_cast<int>(n), 0, nv);
  const unsigned count = (n + mr - 1) / mr, height = n / count, taller = n % count;
  unsigned row = 0;
  for (unsigned t = 0; t < count; ++t) {
    const unsigned h = height + (t < taller ? 1 : 0);
    run_height<F, static_cast<int>(mr), NV>(args, static_cast<int>(h), static_cast<Index>(row), nv);
    row += h;
  }
}

template <class F>
RG_INLINE void run_tiles(const typename F::Args& args, Index rows, int lanes) {
  using T = typename F::T;
  const int nv = vectors<T>(lanes);
  if (nv == 1) return run_tiles_of<F, 1>(args, rows, 1);
  run_tiles_of<F, kNv<T>>(args, rows, nv);
}

// f(panel, its lanes) for each panel of a call.
template <class T, class F>
RG_INLINE void each_panel(int lanes, F f) {
  if constexpr ((kGroup<T>) > 1) {
    if (lanes > kLanes) {
      f(0, static_cast<int>(kLanes));
      return f(1, lanes - static_cast<int>(kLanes));
    }
  }
  f(0, lanes);
}

template <class T>
constexpr TileSizes tile_sizes() {
  TileSizes sizes{};
  sizes.width = Ops<T>::width;
  sizes.mr = kMr<T>;
  sizes.group = kGroup<T>;
  sizes.row_group = kRowGroup<T>;
  return sizes;
}

}  // namespace
}  // namespace retrograd
