// The products of narrow networks, for a chunk of rows of a batch, with lanes = units in every tensor. It is a part of
// kernels.cpp. The passes that are made of them are in network/narrow.h.
//
// Forward and delta broadcast the numbers of a row of the batch against vectors of weights, dw broadcasts those of a row of
// activations against vectors of its deltas. So nothing is transposed, and the user's rows need only be copied.
#pragma once

#include "kernels/activate.h"
#include "kernels/moves.h"
#include "kernels/simd.h"
#include "kernels/table.h"
#include "kernels/tiles.h"

namespace retrograd {
namespace {

// What becomes of a sum: it is stored as it is, after relu, or times the slope of an activation. The activations are those
// whose few instructions leave the inner loop its registers.
enum class End { sum, relu, relu_slope, tanh_slope, sigmoid_slope };

template <End E>
struct EndConstant {
  static constexpr End value = E;
};
template <class Each>
RG_INLINE void with_end(End end, Each each) {
  switch (end) {
    case End::sum:
      return each(EndConstant<End::sum>{});
    case End::relu:
      return each(EndConstant<End::relu>{});
    case End::relu_slope:
      return each(EndConstant<End::relu_slope>{});
    case End::tanh_slope:
      return each(EndConstant<End::tanh_slope>{});
    case End::sigmoid_slope:
      return each(EndConstant<End::sigmoid_slope>{});
  }
}

template <class T, End end>
RG_INLINE V<T> ended(V<T> sum, const T* a) {
  using O = Ops<T>;
  if constexpr (end == End::relu) return relu<T>(sum);
  if constexpr (end == End::relu_slope) return relu_derivative<T>(sum, O::load(a));
  if constexpr (end == End::tanh_slope) return tanh_derivative<T>(sum, O::load(a), O::set(1));
  if constexpr (end == End::sigmoid_slope) return sigmoid_derivative<T>(sum, O::load(a));
  return sum;
}

template <class T>
struct NarrowArgs {
  Index k;
  Panels<const T> x;  // [rows of the batch], lanes = the reduction
  const T* w;         // [k] of panels that lie `jump` values apart, lanes = those of out
  Index jump;
  const T* bias;  // what the sums begin with; null: zeros
  Panels<T> out;
  Panels<const T> a;  // what the slope is computed from, laid out as out
  End end;
};

template <class T_>
struct NarrowTile {
  using T = T_;
  using Args = NarrowArgs<T>;

  template <int MR, int NV>
  static RG_NOINLINE void run(const Args& p, Index row, Index lane) {
    V<T> c[MR][NV];
    if (p.bias) {
      RG_UNROLL for (int j = 0; j < NV; ++j) {
        const V<T> b = Ops<T>::load(p.bias + lane + j * Ops<T>::width);
        RG_UNROLL for (int r = 0; r < MR; ++r) c[r][j] = b;
      }
    } else {
      clear_tile<T>(c);
    }
    accumulate_lanes<T, MR, NV>(c, p.k, p.x.data + row * kLanes, jump_of(p.x), p.w + lane, p.jump);
    const Index o = row * kLanes + lane;
    with_end(p.end, [&](auto end) RG_LAMBDA {
      constexpr End E = decltype(end)::value;
      const Columns<const T, NV> a(p.a.data + o, jump_of(p.a));
      const Columns<T, NV> out(p.out.data + o, jump_of(p.out));
      RG_UNROLL for (int r = 0; r < MR; ++r) {
        RG_UNROLL for (int j = 0; j < NV; ++j) Ops<T>::store(out.at(r, j), ended<T, E>(c[r][j], a.at(r, j)));
      }
    });
  }
};

// A reduction of K <= 4 numbers: the weights stay in registers, and the rows follow one another.
template <class T, int K, int NV>
RG_NOINLINE void narrow_short(const NarrowArgs<T>& p, Index rows, Index lane) {
  V<T> w[K][NV], b[NV];
  RG_UNROLL for (int j = 0; j < NV; ++j) {
    RG_UNROLL for (int k = 0; k < K; ++k) w[k][j] = Ops<T>::load(p.w + lane + k * kLanes + place<T>(j, p.jump));
    b[j] = p.bias ? Ops<T>::load(p.bias + lane + j * Ops<T>::width) : V<T>{};
  }
  with_end(p.end, [&](auto end) RG_LAMBDA {
    constexpr End E = decltype(end)::value;
    const T* x = p.x.data;
    const Columns<const T, NV> a(p.a.data + lane, jump_of(p.a));
    const Columns<T, NV> out(p.out.data + lane, jump_of(p.out));
    for (Index i = 0; i < rows * kLanes; i += kLanes) {
      V<T> c[NV];
      RG_UNROLL for (int j = 0; j < NV; ++j) c[j] = b[j];
      RG_UNROLL for (int k = 0; k < K; ++k) {
        const V<T> s = Ops<T>::broadcast(x + i + k);
        RG_UNROLL for (int j = 0; j < NV; ++j) c[j] = Ops<T>::fma(s, w[k][j], c[j]);
      }
      RG_UNROLL for (int j = 0; j < NV; ++j) Ops<T>::store(out.at(0, j) + i, ended<T, E>(c[j], a.at(0, j) + i));
    }
  });
}

// Number U of each half of a vector, in all lanes of that half.
template <class T, int U, int... I>
RG_INLINE V<T> spread_halves(V<T> v, Lanes<I...>) {
  return __builtin_shufflevector(v, v, (I / (Ops<T>::width / 2) * (Ops<T>::width / 2) + U)...);
}

// c[i] += the numbers U... of rows 2 i and 2 i + 1 of x, times rows U... of w.
template <class T, int P, int... U>
RG_INLINE void add_pairs(V<T> (&c)[P], const T* x, const T* w, Lanes<U...>) {
  using O = Ops<T>;
  const V<T> b[] = {O::load_halves(w + U * kLanes, w + U * kLanes)...};
  RG_UNROLL for (int i = 0; i < P; ++i) {
    const V<T> two = O::load_halves(x + 2 * i * kLanes, x + (2 * i + 1) * kLanes);
    ((c[i] = O::fma(spread_halves<T, U>(two, typename MakeLanes<O::width>::type{}), b[U], c[i])), ...);
  }
}

// Where half a vector holds the outputs, two rows share one: P pairs of rows, without an end.
template <class T, int P>
RG_NOINLINE void narrow_pairs(const NarrowArgs<T>& p, Index row) {
  using O = Ops<T>;
  constexpr Index half = 4;
  V<T> c[P];
  RG_UNROLL for (int i = 0; i < P; ++i) c[i] = O::load_halves(p.bias, p.bias);
  const T *x = p.x.data + row * kLanes, *w = p.w;
  Index k = 0;
  for (; k + half <= p.k; w += half * kLanes) {
    add_pairs<T>(c, x, w, typename MakeLanes<half>::type{});
    k += half;
    x += k % kLanes == 0 ? jump_of(p.x) - kLanes + half : half;
  }
  if (p.k - k == 1) add_pairs<T>(c, x, w, Lanes<0>{});
  if (p.k - k == 2) add_pairs<T>(c, x, w, Lanes<0, 1>{});
  if (p.k - k == 3) add_pairs<T>(c, x, w, Lanes<0, 1, 2>{});
  T* out = p.out.data + row * kLanes;
  RG_UNROLL for (int i = 0; i < P; ++i) O::store_halves(out + 2 * i * kLanes, out + (2 * i + 1) * kLanes, c[i]);
}

template <class T>
RG_INLINE void narrow_few_outputs(const NarrowArgs<T>& p, Index rows) {
  Index r = 0;
  for (; r + 12 <= rows; r += 12) narrow_pairs<T, 6>(p, r);
  for (; r + 4 <= rows; r += 4) narrow_pairs<T, 2>(p, r);
  for (; r < rows; ++r) NarrowTile<T>::template run<1, 1>(p, r, 0);
}

template <class T, int K, int NV>
RG_INLINE void narrow_short_columns(const NarrowArgs<T>& p, Index rows, int nv) {
  int v = 0;
  for (; v + NV <= nv; v += NV) narrow_short<T, K, NV>(p, rows, v * Ops<T>::width);
  if constexpr (NV > 1) {
    for (; v < nv; ++v) narrow_short<T, K, 1>(p, rows, v * Ops<T>::width);
  }
}

template <class T>
RG_INLINE void narrow_product(const NarrowArgs<T>& p, Index rows, int lanes) {
  const int nv = vectors<T>(lanes);
  switch (p.k) {
    case 1:
      return narrow_short_columns<T, 1, kNv<T>>(p, rows, nv);
    case 2:
      return narrow_short_columns<T, 2, kNv<T>>(p, rows, nv);
    case 3:
      return narrow_short_columns<T, 3, kNv<T>>(p, rows, nv);
    case 4:
      return narrow_short_columns<T, 4, kNv<T>>(p, rows, nv);
    default:
      if constexpr (Ops<T>::width == 8) {
        if (lanes <= 4 && p.bias && p.end == End::sum) return narrow_few_outputs(p, rows);
      }
      return run_tiles<NarrowTile<T>>(p, rows, lanes);
  }
}

template <class T>
void narrow_forward(Index k, Index rows, int lanes, Panels<const T> x, Panels<const T> w, const T* bias, Panels<T> a,
                    Panels<T> z, Activation activation) {
  const bool in_tile = activation == Activation::relu && !z.data;
  narrow_product<T>({k, x, w.data, jump_of(w), bias, a, {}, in_tile ? End::relu : End::sum}, rows, lanes);
  if (in_tile || (activation == Activation::identity && !z.data)) return;
  each_panel<T>(lanes, [&](Index p, int n) RG_LAMBDA {
    T* y = a.panel(p);
    if (z.data) map_rows(rows, n, z.panel(p), [y](V<T>, Index i) RG_LAMBDA { return Ops<T>::load(y + i); });
    activate(rows, n, y, activation);
  });
}

RG_INLINE End slope_of(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return End::relu_slope;
    case Activation::tanh:
      return End::tanh_slope;
    case Activation::sigmoid:
      return End::sigmoid_slope;
    default:
      return End::sum;
  }
}

template <class T>
void narrow_delta(Index n, Index rows, int lanes, Panels<const T> d, Panels<const T> wt, Panels<T> out, Panels<const T> a,
                  Activation activation) {
  const End end = slope_of(activation);
  narrow_product<T>({n, d, wt.data, jump_of(wt), nullptr, out, a, end}, rows, lanes);
  if (end != End::sum || activation == Activation::identity) return;
  each_panel<T>(lanes, [&](Index p, int n_lanes) RG_LAMBDA { derive(rows, n_lanes, out.panel(p), a.panel(p), activation); });
}

// ---------------------------------------------------------------------------------------------- gradients

template <class T, int... I>
RG_INLINE V<T> count_lanes(Lanes<I...>) {
  return V<T>{static_cast<T>(I)...};
}

// The sums of a vector whose first lane is number `lane`; those of lanes that do not exist are 0.
template <class T>
RG_INLINE V<T> existing(V<T> sum, Index lane, V<T> lanes) {
  const V<T> number = count_lanes<T>(typename MakeLanes<Ops<T>::width>::type{}) + static_cast<T>(lane);
  return Ops<T>::select(number < lanes, sum, V<T>{});
}

template <class T_>
struct NarrowDwTile {
  using T = T_;
  struct Args {
    Index m;
    const T* a;  // [m], lanes = rows of the tile
    Panels<const T> d;
    Panels<T> g;
    V<T> lanes;
    bool first;
  };

  template <int MR, int NV>
  static RG_NOINLINE void run(const Args& p, Index row, Index lane) {
    V<T> c[MR][NV];
    T* g = p.g.data + row * kLanes + lane;
    if (p.first) {
      clear_tile<T>(c);
    } else {
      load_tile<T>(c, g, jump_of(p.g));
    }
    accumulate<T, MR, NV, 1, kLanes>(c, p.m, p.a + row, p.d.data + lane, jump_of(p.d));
    RG_UNROLL for (int r = 0; r < MR; ++r) {
      RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = existing<T>(c[r][j], lane + j * Ops<T>::width, p.lanes);
    }
    store_tile<T>(c, g, jump_of(p.g));
  }
};

template <class T>
void narrow_dw(Index rows, Index m, int lanes, const T* a, Panels<const T> d, Panels<T> g, bool first) {
  run_tiles<NarrowDwTile<T>>({m, a, d, g, Ops<T>::set(lanes), first}, rows, lanes);
}

// One vector of the four chains, at lane o.
template <class T>
RG_INLINE void db_part_vector(Index m, Index o, V<T> lanes, const T* d, T* sums, bool first) {
  using O = Ops<T>;
  V<T> s[4];
  RG_UNROLL for (int i = 0; i < 4; ++i) s[i] = first ? V<T>{} : O::load(sums + i * kLanes + o);
  const T* p = d + o;
  for (; m >= 4; m -= 4, p += 4 * kLanes) {
    RG_UNROLL for (int i = 0; i < 4; ++i) s[i] += O::load(p + i * kLanes);
  }
  RG_UNROLL for (int i = 0; i < 4; ++i) {
    if (i < m) s[i] += O::load(p + i * kLanes);
    O::store(sums + i * kLanes + o, existing<T>(s[i], o, lanes));
  }
}

template <class T>
void db_part(Index m, int lanes, const T* d, T* sums, bool first) {
  for (Index o = 0; o < lanes; o += Ops<T>::width) db_part_vector<T>(m, o, Ops<T>::set(lanes), d, sums, first);
}

// ---------------------------------------------------------------------------------------------- rows

// N numbers from any place, converted.
template <class T, class S, int N>
RG_INLINE void copy_some(const S* from, T* to) {
  typedef S From __attribute__((vector_size(sizeof(S) * N)));
  typedef T To __attribute__((vector_size(sizeof(T) * N)));
  From v;
  __builtin_memcpy(&v, from, sizeof v);
  const To converted = __builtin_convertvector(v, To);
  __builtin_memcpy(to, &converted, sizeof converted);
}

// `count` numbers of each row, N to 2 N of them, in two pieces that may overlap: without a question for each row.
template <class T, class S, int N>
RG_INLINE void copy_columns(Index count, Index rows, const char* x, Index stride, const std::uint32_t* order, T* out) {
  const auto copy = [count](const char* row, T* to) RG_LAMBDA {
    const S* from = reinterpret_cast<const S*>(row);
    copy_some<T, S, N>(from, to);
    copy_some<T, S, N>(from + (count - N), to + (count - N));
  };
  if (order) {
    for (Index r = 0; r < rows; ++r) copy(x + static_cast<Index>(order[r]) * stride, out + r * kLanes);
  } else {
    for (Index r = 0; r < rows; ++r) copy(x + r * stride, out + r * kLanes);
  }
}

template <class T, class S>
void narrow_rows(Index cols, Index rows, const void* x, Index stride, const std::uint32_t* order, Panels<T> out) {
  for (Index col = 0; col < cols; col += kLanes) {
    const Index count = cols - col < kLanes ? cols - col : kLanes;
    const char* from = static_cast<const char*>(x) + col * static_cast<Index>(sizeof(S));
    T* to = out.panel(col / kLanes);
    if (count >= 8) {
      copy_columns<T, S, 8>(count, rows, from, stride, order, to);
    } else if (count >= 4) {
      copy_columns<T, S, 4>(count, rows, from, stride, order, to);
    } else if (count >= 2) {
      copy_columns<T, S, 2>(count, rows, from, stride, order, to);
    } else {
      copy_columns<T, S, 1>(count, rows, from, stride, order, to);
    }
  }
}

template <class T>
constexpr Narrow<T> narrow_kernels() {
  Narrow<T> table{};
  table.narrow_forward = narrow_forward<T>;
  table.narrow_delta = narrow_delta<T>;
  table.narrow_dw = narrow_dw<T>;
  table.db_part = db_part<T>;
  table.narrow_rows[static_cast<int>(Source::float32)] = narrow_rows<T, float>;
  table.narrow_rows[static_cast<int>(Source::float64)] = narrow_rows<T, double>;
  table.narrow_rows[static_cast<int>(Source::uint8)] = narrow_rows<T, std::uint8_t>;
  return table;
}

}  // namespace
}  // namespace retrograd
