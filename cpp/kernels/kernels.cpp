// The one kernel source, compiled once per instruction set (RG_ISA names it); exports one constant table, kernels_<ISA>.
// No standard library, no allocation, no threads, no globals. The contract of each function is in kernels.h.
//
// Register tiles: MR rows x NV vectors of accumulators; each step broadcasts MR values of one operand against NV vectors
// of the other. Rows are cut into tiles of nearly equal height (16 = 6 + 5 + 5), as a short tile waits for its own adds.
// AVX2 6x2 (12x1), AVX-512 8x2 (g++ 12 spills 10x2 and 12x2; float32: two panels, one vector each; 73 % of peak with one, 95 %
// with two), NEON 6x4.
#include "kernels/table.h"

#include <type_traits>

#include "kernels/activations.h"
#include "kernels/simd.h"

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "retrograd needs IEEE arithmetic: build without -ffast-math"
#endif

#define RG_CONCAT_(a, b) a##b
#define RG_CONCAT(a, b) RG_CONCAT_(a, b)
#define RG_STRING_(a) #a
#define RG_STRING(a) RG_STRING_(a)

namespace retrograd {
namespace {

template <class T>
using V = typename Ops<T>::V;

// ---------------------------------------------------------------------------------------------- tiles

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
  RG_UNROLL for (int j = 0; j < NV; ++j) {
    x[j] = Ops<T>::load(b + place<T>(j, b_jump));
    Ops<T>::pin(x[j]);
  }
  RG_UNROLL for (int r = 0; r < MR; ++r) {
    V<T> s = Ops<T>::broadcast(a + r * RowStride);
    Ops<T>::pin(s);
    RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = Ops<T>::fma(s, x[j], c[r][j]);
  }
}

// k steps; a moves by StepStride, b by a panel's row.
template <class T, int MR, int NV, Index RowStride, Index StepStride>
RG_INLINE void accumulate(V<T> (&c)[MR][NV], Index k, const T* a, const T* b, Index b_jump) {
  for (; k >= 4; k -= 4) {
    RG_UNROLL for (int u = 0; u < 4; ++u) step<T, MR, NV, RowStride>(c, a + u * StepStride, b + u * kLanes, b_jump);
    a += 4 * StepStride;
    b += 4 * kLanes;
  }
  for (; k > 0; --k) {
    step<T, MR, NV, RowStride>(c, a, b, b_jump);
    a += StepStride;
    b += kLanes;
  }
}

// The reduction runs along the lanes of a: 16 within a panel, then on to the next.
template <class T, int MR, int NV>
RG_INLINE void accumulate_lanes(V<T> (&c)[MR][NV], Index n, const T* a, Index a_jump, const T* b, Index b_jump) {
  for (; n >= kLanes; n -= kLanes) {
    accumulate<T, MR, NV, kLanes, 1>(c, kLanes, a, b, b_jump);
    a += a_jump;
    b += kLanes * kLanes;
  }
  if (n > 0) accumulate<T, MR, NV, kLanes, 1>(c, n, a, b, b_jump);
}

template <class T, int MR, int NV>
RG_INLINE void load_tile(V<T> (&c)[MR][NV], const T* p, Index jump) {
  const Columns<const T, NV> columns(p, jump);
  RG_UNROLL for (int r = 0; r < MR; ++r) {
    RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = Ops<T>::load(columns.at(r, j));
  }
}

template <class T, int MR, int NV>
RG_INLINE void store_tile(const V<T> (&c)[MR][NV], T* p, Index jump) {
  const Columns<T, NV> columns(p, jump);
  RG_UNROLL for (int r = 0; r < MR; ++r) {
    RG_UNROLL for (int j = 0; j < NV; ++j) Ops<T>::store(columns.at(r, j), c[r][j]);
  }
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
  if constexpr (kGroup < T >> 1) {
    if (lanes > kLanes) {
      f(0, static_cast<int>(kLanes));
      return f(1, lanes - static_cast<int>(kLanes));
    }
  }
  f(0, lanes);
}

// ---------------------------------------------------------------------------------------------- activations

// Written so that NaN fails the comparison and passes through.
template <class T>
RG_INLINE V<T> relu(V<T> z) {
  return Ops<T>::select(z < V<T>{}, V<T>{}, z);
}

template <class T>
RG_INLINE V<T> relu_derivative(V<T> d, V<T> a) {
  return Ops<T>::select(a <= V<T>{}, V<T>{}, d);
}

template <class T, class F>
RG_INLINE void map_rows(Index units, int lanes, T* p, F f) {
  for (Index v = 0, end = vectors<T>(lanes) * Ops<T>::width; v < end; v += Ops<T>::width) {
    for (Index i = v; i < units * kLanes; i += kLanes) Ops<T>::store(p + i, f(Ops<T>::load(p + i), i));
  }
}

// The same for what needs no place. Where half a vector holds the lanes, two units share one.
template <class T, class F>
RG_INLINE void map_values(Index units, int lanes, T* p, F f) {
  using O = Ops<T>;
  if (2 * lanes > O::width) return map_rows(units, lanes, p, [f](V<T> x, Index) RG_LAMBDA { return f(x); });
  for (; units >= 2; units -= 2, p += 2 * kLanes) O::store_halves(p, p + kLanes, f(O::load_halves(p, p + kLanes)));
  if (units > 0) O::store(p, f(O::load(p)));
}

// Over units, one vector of lanes at a time: z -> exp(z - max z) / sum.
template <class T>
void softmax(Index units, int lanes, T* a) {
  using O = Ops<T>;
  for (int v = 0; v < vectors<T>(lanes); ++v) {
    T* p = a + v * O::width;
    V<T> high = O::load(p), sum{};
    for (Index j = 1; j < units; ++j) {
      const V<T> z = O::load(p + j * kLanes);
      high = O::select(z > high, z, high);
    }
    for (Index j = 0; j < units; ++j) {
      const V<T> e = math::exp<O>(O::load(p + j * kLanes) - high);
      sum += e;
      O::store(p + j * kLanes, e);
    }
    for (Index j = 0; j < units; ++j) O::store(p + j * kLanes, O::load(p + j * kLanes) / sum);
  }
}

template <class T>
void activate(Index units, int lanes, T* a, Activation activation) {
  using O = Ops<T>;
  switch (activation) {
    case Activation::identity:
      break;
    case Activation::relu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return relu<T>(z); });
      break;
    case Activation::leaky_relu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return O::select(z < V<T>{}, z * O::set(kLeakySlope), z); });
      break;
    case Activation::tanh:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return math::tanh<O>(z); });
      break;
    case Activation::sigmoid:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return math::sigmoid<O>(z); });
      break;
    case Activation::softmax:
      softmax(units, lanes, a);
      break;
    case Activation::elu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return O::select(z < V<T>{}, math::expm1<O>(z), z); });
      break;
    case Activation::selu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA {
        const V<T> below = O::set(kSeluScale * kSeluAlpha) * math::expm1<O>(z);
        return O::select(z < V<T>{}, below, O::set(kSeluScale) * z);
      });
      break;
    case Activation::softplus:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::softplus<O>(z); });
      break;
    case Activation::softsign:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::softsign<O>(z); });
      break;
    case Activation::exponential:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return math::exp<O>(z); });
      break;
    case Activation::gelu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::gelu<O>(z); });
      break;
    case Activation::gelu_tanh:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::gelu_tanh<O>(z); });
      break;
    case Activation::silu:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::silu<O>(z); });
      break;
    case Activation::mish:
      map_values(units, lanes, a, [](V<T> z) RG_LAMBDA { return activations::mish<O>(z); });
      break;
  }
}

// d_j <- a_j (d_j - sum_i d_i a_i)
template <class T>
void softmax_derivative(Index units, int lanes, T* d, const T* a) {
  using O = Ops<T>;
  for (int v = 0; v < vectors<T>(lanes); ++v) {
    const Index o = v * O::width;
    V<T> dot{};
    for (Index j = 0; j < units; ++j) dot = O::fma(O::load(d + j * kLanes + o), O::load(a + j * kLanes + o), dot);
    for (Index j = 0; j < units; ++j) {
      O::store(d + j * kLanes + o, O::load(a + j * kLanes + o) * (O::load(d + j * kLanes + o) - dot));
    }
  }
}

template <class T>
void derive(Index units, int lanes, T* d, const T* a, Activation activation) {
  using O = Ops<T>;
  const auto each = [&](auto f) RG_LAMBDA {
    map_rows(units, lanes, d, [&](V<T> g, Index i) RG_LAMBDA { return f(g, O::load(a + i)); });
  };
  switch (activation) {
    case Activation::identity:
      break;
    case Activation::relu:
      each([](V<T> g, V<T> y) RG_LAMBDA { return relu_derivative<T>(g, y); });
      break;
    case Activation::leaky_relu:
      each([](V<T> g, V<T> y) RG_LAMBDA { return O::select(y <= V<T>{}, g * O::set(kLeakySlope), g); });
      break;
    case Activation::tanh:
      each([](V<T> g, V<T> y) RG_LAMBDA { return g * O::fma(-y, y, O::set(1)); });
      break;
    case Activation::sigmoid:
      each([](V<T> g, V<T> y) RG_LAMBDA { return g * O::fma(-y, y, y); });
      break;
    case Activation::softmax:
      softmax_derivative(units, lanes, d, a);
      break;
    case Activation::elu:
      each([](V<T> g, V<T> y) RG_LAMBDA { return O::select(y <= V<T>{}, g * (y + O::set(1)), g); });
      break;
    case Activation::selu:
      each([](V<T> g, V<T> y)
               RG_LAMBDA { return g * O::select(y <= V<T>{}, y + O::set(kSeluScale * kSeluAlpha), O::set(kSeluScale)); });
      break;
    case Activation::softplus:
      each([](V<T> g, V<T> y) RG_LAMBDA { return -g * math::expm1<O>(-y); });
      break;
    case Activation::softsign:
      each([](V<T> g, V<T> y) RG_LAMBDA {
        const V<T> rest = O::set(1) - activations::absolute<O>(y);
        return g * (rest * rest);
      });
      break;
    case Activation::exponential:
      each([](V<T> g, V<T> y) RG_LAMBDA { return g * y; });
      break;
    case Activation::gelu:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::gelu_slope<O>(z); });
      break;
    case Activation::gelu_tanh:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::gelu_tanh_slope<O>(z); });
      break;
    case Activation::silu:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::silu_slope<O>(z); });
      break;
    case Activation::mish:
      each([](V<T> g, V<T> z) RG_LAMBDA { return g * activations::mish_slope<O>(z); });
      break;
  }
}

// ---------------------------------------------------------------------------------------------- forward

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
  const bool in_tile = last && !z.data && activation == Activation::relu;  // cheap enough for the registers
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
    RG_UNROLL for (int j = 0; j < NV; ++j) {
      b[j] = Ops<T>::load(w + place<T>(j, jump));
      Ops<T>::pin(b[j]);
    }
    RG_UNROLL for (int r = 0; r < MR; ++r) {
      V<T> s = Ops<T>::broadcast(x[r] + k);
      Ops<T>::pin(s);
      RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = Ops<T>::fma(s, b[j], c[r][j]);
    }
  }
};

// One row: as many vectors side by side as there are, in tiles of 8, 4, 2 and 1.
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

// ---------------------------------------------------------------------------------------------- backward

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
    bool relu;
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
    if (p.relu) {
      const Columns<const T, NV> a(p.a.data + o, jump_of(p.a));
      RG_UNROLL for (int r = 0; r < MR; ++r) {
        RG_UNROLL for (int j = 0; j < NV; ++j) c[r][j] = relu_derivative<T>(c[r][j], Ops<T>::load(a.at(r, j)));
      }
    }
    store_tile<T>(c, p.out.data + o, jump_of(p.out));
  }
};

template <class T>
void delta(Index rows, Index n, int lanes, Panels<const T> w, Panels<const T> d, Panels<T> out, Panels<const T> a, bool first,
           bool last, Activation activation) {
  const bool in_tile = last && activation == Activation::relu;  // any more would cost the inner loop its registers
  run_tiles<DeltaTile<T>>({n, w, d, out, a, first, in_tile}, rows, lanes);
  if (!last || in_tile || activation == Activation::identity) return;
  each_panel<T>(lanes, [&](Index p, int n_lanes) RG_LAMBDA { derive(rows, n_lanes, out.panel(p), a.panel(p), activation); });
}

// The rows i of one vector of w's rows, `left` of them real, turned: lanes = rows of w.
template <class T, bool all>
RG_INLINE void load_turned(V<T> (&turned)[Ops<T>::width], const T* w, Index left) {
  RG_UNROLL for (int i = 0; i < Ops<T>::width; ++i) turned[i] = all || i < left ? Ops<T>::load(w + i * kLanes) : V<T>{};
  transpose_square<T>(turned);
}

// `all`: of a whole vector of w's rows and all lanes.
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
  V<T> values[kDeltaRows * kLanes];  // to each lane
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < lanes; ++i) values[r * kLanes + i] = Ops<T>::broadcast(d[r] + offset + i);
  }
  const Index whole = lanes == kLanes ? units / W * W : 0;
  for (Index k = 0; k < whole; k += W) delta_block<T, true>(W, rows, lanes, w + k * kLanes, values, out + k, stride);
  for (Index k = whole; k < units; k += W) {
    delta_block<T, false>(units - k, rows, lanes, w + k * kLanes, values, out + k, stride);
  }
}

// ---------------------------------------------------------------------------------------------- update

enum Mode { kStore, kPlain, kMomentum, kGeneral };

// Of an update that is fused.
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
void dw(Index rows, Index m, int lanes, Panels<const T> a, Panels<const T> d, Panels<T> g, bool first, bool last, Panels<T> w,
        Panels<T> v, const Update<T>* update) {
  with_mode(last ? update : nullptr, [=](auto mode) RG_LAMBDA {
    run_tiles<DwTile<T, decltype(mode)::value>>({m, a, d, g, w, v, update, first}, rows, lanes);
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
      RG_UNROLL for (int u = 0; u < 2; ++u) step<T, MR, NV, 1>(c, p.x[m + u] + offset, d + u * kLanes, jump);
      d += 2 * kLanes;
    }
    if (m < p.m) step<T, MR, NV, 1>(c, p.x[m] + offset, d, jump);
    finish_dw<T, M>(c, o, p.g, p.w, p.v, p.update);
  }
};

template <class T>
void dw_rows(Index rows, Index m, int lanes, const T* const* x, Index offset, Panels<const T> d, Panels<T> g, Panels<T> w,
             Panels<T> v, const Update<T>* update) {
  with_mode(update, [=](auto mode) RG_LAMBDA {
    run_tiles<DwRowsTile<T, decltype(mode)::value>>({m, x, offset, d, g, w, v, update}, rows, lanes);
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

// step(gradient, w, i) gives the change of w by -lr for each vector, i values from the first.
template <class T, class Step>
RG_INLINE void update_each(Index count, const T* g, T* w, const Update<T>& u, Step step) {
  using O = Ops<T>;
  const Rates<T> rates(u);
  for (Index i = 0; i < count; i += O::width) {
    V<T> weight = O::load(w + i);
    const V<T> gradient = rates.prepared(O::load(g + i), weight);
    O::store(w + i, O::fma(rates.minus_lr, step(gradient, i), weight));
  }
}

// decay s + (1 - decay) x
template <class T>
struct Average {
  V<T> decay, rest;
  explicit RG_INLINE Average(T d) : decay(Ops<T>::broadcast(&d)), rest(Ops<T>::set(1) - decay) {}
  RG_INLINE V<T> operator()(T* s, V<T> x) const {
    const V<T> mean = Ops<T>::fma(decay, Ops<T>::load(s), rest * x);
    Ops<T>::store(s, mean);
    return mean;
  }
};

template <class T>
void update_adam(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const Average<T> first(u.beta1), second(u.beta2);
  const V<T> eps = O::broadcast(&u.eps), correction = O::broadcast(&u.correction);
  T* squares = s + u.second;
  T* highest = u.third ? s + u.third : nullptr;
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    const V<T> mean = first(s + i, gradient);
    V<T> square = second(squares + i, gradient * gradient);
    if (highest) {
      const V<T> high = O::load(highest + i);
      square = O::select(square > high, square, high);
      O::store(highest + i, square);
    }
    return mean / O::fma(O::sqrt(square), correction, eps);
  });
}

template <class T>
void update_rmsprop(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const Average<T> average(u.beta2);
  const V<T> eps = O::broadcast(&u.eps), momentum = O::broadcast(&u.momentum);
  T* moving = u.momentum != 0 ? s + u.second : nullptr;
  T* means = u.third ? s + u.third : nullptr;
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    V<T> square = average(s + i, gradient * gradient);
    if (means) {
      const V<T> mean = average(means + i, gradient);
      square = O::fma(-mean, mean, square);
      square = O::select(square < V<T>{}, V<T>{}, square);  // what rounding leaves of a constant gradient
    }
    V<T> d = gradient / (O::sqrt(square) + eps);
    if (moving) {
      d = O::fma(momentum, O::load(moving + i), d);
      O::store(moving + i, d);
    }
    return d;
  });
}

template <class T>
void update_adagrad(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const V<T> eps = O::broadcast(&u.eps);
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    const V<T> sum = O::fma(gradient, gradient, O::load(s + i));
    O::store(s + i, sum);
    return gradient / (O::sqrt(sum) + eps);
  });
}

template <class T>
void update_lion(Index count, const T* g, T* w, T* s, const Update<T>& u) {
  using O = Ops<T>;
  const V<T> one = O::set(1), beta1 = O::broadcast(&u.beta1), rest1 = one - beta1;
  const Average<T> momentum(u.beta2);
  update_each(count, g, w, u, [=](V<T> gradient, Index i) RG_LAMBDA {
    const V<T> mix = O::fma(beta1, O::load(s + i), rest1 * gradient);
    momentum(s + i, gradient);
    return O::select(mix > V<T>{}, one, O::select(mix < V<T>{}, -one, mix));  // NaN stays
  });
}

template <class T>
void update(Index count, const T* g, T* w, T* v, const Update<T>* u) {
  switch (u->rule) {
    case Rule::adam:
      return update_adam(count, g, w, v, *u);
    case Rule::rmsprop:
      return update_rmsprop(count, g, w, v, *u);
    case Rule::adagrad:
      return update_adagrad(count, g, w, v, *u);
    case Rule::lion:
      return update_lion(count, g, w, v, *u);
    case Rule::sgd:
      break;
  }
  with_mode(u, [=](auto mode) RG_LAMBDA {
    if constexpr (decltype(mode)::value != kStore) {  // u is not null
      const Rates<T> rates(*u);
      const bool moves = u->momentum != 0;
      for (Index i = 0; i < count; i += Ops<T>::width) {
        update_vector<T, decltype(mode)::value>(Ops<T>::load(g + i), w + i, moves ? v + i : nullptr, rates);
      }
    }
  });
}

template <class T>
double squares(Index count, const T* g) {
  using O = Ops<T>;
  V<T> sum[O::per_panel] = {};
  for (Index i = 0; i < count; i += kLanes) {
    RG_UNROLL for (int v = 0; v < O::per_panel; ++v) {
      const V<T> x = O::load(g + i + v * O::width);
      sum[v] = O::fma(x, x, sum[v]);
    }
  }
  double chain[kLanes];
  for (int l = 0; l < kLanes; ++l) chain[l] = static_cast<double>(sum[l / O::width][l % O::width]);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) chain[l] += chain[l + half];
  }
  return chain[0];
}

// ---------------------------------------------------------------------------------------------- moving data

// A square of vectors, of which the first ROWS are read and the first OUT are wanted: the compiler drops what these do not
// need.
template <class T, int ROWS, int OUT>
RG_INLINE void transpose_block(Index rows, const T* src, T* dst) {
  using O = Ops<T>;
  V<T> r[O::width];
  RG_UNROLL for (int i = 0; i < O::width; ++i) { r[i] = i < ROWS && i < rows ? O::load(src + i * kLanes) : V<T>{}; }
  transpose_square<T>(r);
  RG_UNROLL for (int i = 0; i < OUT; ++i) O::store(dst + i * kLanes, r[i]);
}

template <class T>
void transpose(Index rows, Index lanes, const T* src, T* dst) {
  constexpr int width = Ops<T>::width, few_rows = width < 8 ? width : 8, few_lanes = 4;
  if (rows <= few_rows && lanes <= few_lanes) {
    for (Index g = few_rows; g < kLanes; g += width) {
      for (Index i = 0; i < lanes; ++i) Ops<T>::store(dst + i * kLanes + g, V<T>{});
    }
    for (Index h = 0; h < lanes; h += width)
      transpose_block < T, few_rows, width<few_lanes ? width : few_lanes>(rows, src + h, dst + h * kLanes);
    return;
  }
  for (Index h = 0; h < lanes; h += width) {
    for (Index g = 0; g < kLanes; g += width) {
      transpose_block<T, width, width>(rows - g, src + g * kLanes + h, dst + h * kLanes + g);
    }
  }
}

template <class T, class S>
RG_INLINE V<T> load_as(const S* p) {
  typedef S From __attribute__((vector_size(sizeof(S) * Ops<T>::width)));
  From v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, V<T>);
}

template <class S>
RG_INLINE S load_one(const S* p) {
  S v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T, class S>
RG_INLINE void gather_vector(Index cols, int valid, const void* const* x, T* out) {
  using O = Ops<T>;
  Index k = 0;
  if (cols >= O::width) {
    const S* p[O::width];
    for (int i = 0; i < O::width; ++i) p[i] = static_cast<const S*>(i < valid ? x[i] : nullptr);
    for (; k + O::width <= cols; k += O::width) {
      V<T> r[O::width];
      RG_UNROLL for (int i = 0; i < O::width; ++i) r[i] = i < valid ? load_as<T, S>(p[i] + k) : V<T>{};
      transpose_square<T>(r);
      RG_UNROLL for (int i = 0; i < O::width; ++i) O::store(out + (k + i) * kLanes, r[i]);
    }
  }
  for (; k < cols; ++k) {
    const auto number = [=](int i) RG_LAMBDA { return static_cast<T>(load_one(static_cast<const S*>(x[i]) + k)); };
    if constexpr (O::width <= 8) {  // in registers: who loads it as a vector would wait for stores of single numbers
      V<T> column{};
      RG_UNROLL for (int i = 0; i < O::width; ++i) {
        if (i < valid) column[i] = number(i);
      }
      O::store(out + k * kLanes, column);
    } else {
      O::store(out + k * kLanes, V<T>{});
      for (int i = 0; i < valid; ++i) out[k * kLanes + i] = number(i);
    }
  }
}

template <class T, class S>
void gather(Index cols, int lanes, const void* const* x, T* out) {
  constexpr int width = Ops<T>::width;
  for (int h = 0; h < lanes; h += width) {
    const int valid = lanes - h;
    if (valid >= width) {
      gather_vector<T, S>(cols, width, x + h, out + h);
    } else {
      gather_vector<T, S>(cols, valid, x + h, out + h);
    }
  }
}

template <class T, class S>
void convert(Index cols, const void* x, T* out) {
  using O = Ops<T>;
  const S* p = static_cast<const S*>(x);
  Index k = 0;
  for (; k + O::width <= cols; k += O::width) O::store(out + k, load_as<T, S>(p + k));
  for (; k < cols; ++k) out[k] = static_cast<T>(load_one(p + k));
}

template <class T, class S>
bool finite(Index count, const void* x) {
  using O = Ops<T>;
  const S* p = static_cast<const S*>(x);
  V<T> bad[4] = {};  // 0 times a finite number is 0, else NaN
  Index i = 0;
  for (; i + 4 * O::width <= count; i += 4 * O::width) {
    RG_UNROLL for (int u = 0; u < 4; ++u) bad[u] += load_as<T, S>(p + i + u * O::width) * O::set(0);
  }
  const V<T> all = (bad[0] + bad[1]) + (bad[2] + bad[3]);
  T sum = 0;
  for (int l = 0; l < O::width; ++l) sum += all[l];
  for (; i < count; ++i) sum += static_cast<T>(load_one(p + i)) * T(0);
  return sum == T(0);
}

// ---------------------------------------------------------------------------------------------- losses

template <class T>
RG_INLINE V<T> absolute(V<T> x) {
  return activations::absolute<Ops<T>>(x);
}

// What the derivative of a layer's activation is computed from.
template <class T>
RG_INLINE const T* derived_from(Activation f, const T* a, const T* z) {
  return derived_from_z(f) ? z : a;
}

// mse: (1/n) sum (a - t)^2; quadratic: (1/2) sum (a - t)^2.
template <class T>
void squared_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const bool mean = p.loss == Loss::mse;
  const T n = static_cast<T>(p.units);
  const V<T> share = O::set(0) + (mean ? T(1) / n : T(0.5));
  const V<T> slope = O::set(0) + (mean ? T(2) / n * p.scale : p.scale);
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    V<T> squares{}, distance{};
    for (Index j = 0; j < p.units; ++j) {
      const V<T> e = O::load(p.a + j * kLanes + o) - O::load(p.target + j * kLanes + o);
      squares = O::fma(e, e, squares);
      distance += absolute<T>(e);
      if (p.delta) O::store(p.delta + j * kLanes + o, e * slope);
    }
    O::store(p.loss_rows + o, squares * share);
    O::store(p.metric_rows + o, distance);
  }
  if (p.delta) derive(p.units, p.lanes, p.delta, derived_from(p.activation, p.a, p.z), p.activation);
}

// The losses that are a mean over outputs of a function of one: f(a, t, loss, distance) adds to the last two and gives the
// derivative with respect to a.
template <class T, class F>
RG_INLINE void each_output(const LossArgs<T>& p, F f) {
  using O = Ops<T>;
  const V<T> share = O::set(1) / O::set(static_cast<double>(p.units)), slope = O::broadcast(&p.scale) * share;
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    V<T> sum{}, distance{};
    for (Index j = 0; j < p.units; ++j) {
      const V<T> d = f(O::load(p.a + j * kLanes + o), O::load(p.target + j * kLanes + o), sum, distance);
      if (p.delta) O::store(p.delta + j * kLanes + o, d * slope);
    }
    O::store(p.loss_rows + o, sum * share);
    O::store(p.metric_rows + o, distance);
  }
  if (p.delta) derive(p.units, p.lanes, p.delta, derived_from(p.activation, p.a, p.z), p.activation);
}

// -1, 0 or 1; NaN stays.
template <class T>
RG_INLINE V<T> sign_of(V<T> x) {
  using O = Ops<T>;
  return O::select(x > V<T>{}, O::set(1), O::select(x < V<T>{}, O::set(-1), x));
}

// (1/n) sum |a - t|
template <class T>
void absolute_loss(const LossArgs<T>& p) {
  each_output(p, [](V<T> a, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> e = a - t;
    loss += absolute<T>(e);
    distance += absolute<T>(e);
    return sign_of<T>(e);
  });
}

// (1/n) sum e^2 / 2 where |e| <= d, d (|e| - d / 2) beyond: c (|e| - c / 2) with c = min(|e|, d).
template <class T>
void huber_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> d = O::broadcast(&p.parameter);
  each_output(p, [d](V<T> a, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> e = a - t, size = absolute<T>(e), c = O::select(size > d, d, size);
    loss = O::fma(c, O::fma(O::set(-0.5), c, size), loss);
    distance += size;
    return O::select(e < V<T>{}, -c, c);
  });
}

// (1/n) sum exp(z) - t z: that of a count t whose mean is exp(z).
template <class T>
void poisson_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  each_output(p, [](V<T> z, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> rate = math::exp<O>(z), e = rate - t;
    loss += O::fma(-t, z, rate);
    distance += absolute<T>(e);
    return e;
  });
}

// (1/n) sum q (t - a) where t > a, (1 - q) (a - t) where a > t.
template <class T>
void quantile_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> q = O::broadcast(&p.parameter), rest = O::set(1) - q;
  each_output(p, [q, rest](V<T> a, V<T> t, V<T>& loss, V<T>& distance) RG_LAMBDA {
    const V<T> e = a - t, factor = O::select(e > V<T>{}, rest, q);
    loss = O::fma(factor, absolute<T>(e), loss);
    distance += absolute<T>(e);
    return factor * sign_of<T>(e);
  });
}

// (1/n) sum max(0, 1 - s a), s = 1 where t > 0, else -1.
template <class T>
void hinge_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1);
  each_output(p, [one](V<T> a, V<T> t, V<T>& loss, V<T>& right) RG_LAMBDA {
    const auto yes = t > V<T>{};
    const V<T> margin = one - O::select(yes, a, -a);
    loss += relu<T>(margin);
    right += O::select((a > V<T>{}) == yes, one, V<T>{});
    return relu_derivative<T>(O::select(yes, -one, one), margin);
  });
}

// The first of the largest; a NaN never is.
template <class T>
RG_INLINE V<T> largest(const T* z, Index units, V<T>& high) {
  using O = Ops<T>;
  high = O::load(z);
  V<T> place{};
  for (Index j = 1; j < units; ++j) {
    const V<T> x = O::load(z + j * kLanes);
    const auto larger = x > high;
    high = O::select(larger, x, high);
    place = O::select(larger, O::set(static_cast<double>(j)), place);
  }
  return place;
}

// (1/n) sum over j != label of max(0, 1 - a_label + a_j) (Weston, Watkins, 1999).
template <class T>
void margin_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1), share = one / O::set(static_cast<double>(p.units)), slope = O::broadcast(&p.scale) * share;
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    const V<T> label = load_as<T, std::int32_t>(p.labels + o);
    V<T> sum{}, count{}, high, mine{};
    for (Index j = 0; j < p.units; ++j) {
      mine = O::select(label == O::set(static_cast<double>(j)), O::load(p.a + j * kLanes + o), mine);
    }
    for (Index j = 0; j < p.units; ++j) {
      const V<T> margin = one - (mine - O::load(p.a + j * kLanes + o));
      const auto other = label != O::set(static_cast<double>(j));
      const V<T> over = O::select(other, relu_derivative<T>(one, margin), V<T>{});
      sum += O::select(other, relu<T>(margin), V<T>{});
      count += over;
      if (p.delta) O::store(p.delta + j * kLanes + o, over * slope);
    }
    for (Index j = 0; p.delta && j < p.units; ++j) {
      T* d = p.delta + j * kLanes + o;
      O::store(d, O::select(label == O::set(static_cast<double>(j)), -count * slope, O::load(d)));
    }
    O::store(p.loss_rows + o, sum * share);
    O::store(p.metric_rows + o, O::select(largest<T>(p.a + o, p.units, high) == label, one, V<T>{}));
  }
  if (p.delta) derive(p.units, p.lanes, p.delta, derived_from(p.activation, p.a, p.z), p.activation);
}

// -sum t log softmax(z) in one stable step: log sum exp(z - max) - (z - max)_label; delta = softmax(z) - t.
// `smooth`: with (1 - s) t + s / n in place of t.
template <class T, bool smooth>
void cross_entropy_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1);
  [[maybe_unused]] const V<T> spread = O::broadcast(&p.parameter), keep = one - spread,
                              part = spread / O::set(static_cast<double>(p.units));
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    const T* z = p.a + o;
    const T* t = p.target + o;
    const V<T> label = p.labels ? load_as<T, std::int32_t>(p.labels + o) : V<T>{};
    V<T> high = O::load(z), guess{}, sum{}, loss{}, mass = one, picked{};
    [[maybe_unused]] V<T> all{};
    V<T> unit = one;  // counts: an integer made a vector takes three instructions
    for (Index j = 1; j < p.units; ++j, unit += one) {
      const V<T> x = O::load(z + j * kLanes);
      const auto larger = x > high;
      high = O::select(larger, x, high);
      guess = O::select(larger, O::set(static_cast<double>(j)), guess);
    }
    unit = V<T>{};
    for (Index j = 0; j < p.units; ++j, unit += one) {
      const V<T> x = O::load(z + j * kLanes) - high, e = math::exp<O>(x);
      sum += e;
      picked = O::select(label == O::set(static_cast<double>(j)), x, picked);
      if constexpr (smooth) all += x;
      if (p.delta) O::store(p.delta + j * kLanes + o, e);
    }
    const V<T> log_sum = math::log<O>(sum);
    if (p.labels) {
      loss = log_sum - picked;
      O::store(p.metric_rows + o, O::select(guess == label, one, V<T>{}));
    } else {
      V<T> best = O::load(t), answer{};
      mass = V<T>{};
      for (Index j = 0; j < p.units; ++j) {
        const V<T> y = O::load(t + j * kLanes);
        loss = O::fma(y, log_sum - (O::load(z + j * kLanes) - high), loss);
        mass += y;
        const auto larger = y > best;
        best = O::select(larger, y, best);
        answer = O::select(larger, O::set(static_cast<double>(j)), answer);
      }
      O::store(p.metric_rows + o, O::select(guess == answer, one, V<T>{}));
    }
    if constexpr (smooth) {
      loss = O::fma(keep, loss, part * O::fma(O::set(static_cast<double>(p.units)), log_sum, -all));
      mass = O::fma(keep, mass, spread);
    }
    O::store(p.loss_rows + o, loss);
    if (!p.delta) continue;
    V<T> scale = O::broadcast(&p.scale);
    const V<T> of_sum = scale * mass / sum;
    [[maybe_unused]] const V<T> floor = scale * part;
    if constexpr (smooth) scale = scale * keep;
    unit = V<T>{};
    for (Index j = 0; j < p.units; ++j, unit += one) {
      T* d = p.delta + j * kLanes + o;
      V<T> g = O::load(d) * of_sum;
      if constexpr (smooth) g -= floor;
      O::store(d, p.labels ? O::select(label == O::set(static_cast<double>(j)), g - scale, g)
                           : O::fma(-scale, O::load(t + j * kLanes), g));
    }
  }
}

// -sum t (1 - p)^g log p, p = softmax(z) (Lin, Goyal, Girshick, He, Dollar, 2017). With c_j = t_j (g p_j (1 - p_j)^(g-1) log
// p_j
// - (1 - p_j)^g), delta_j = c_j - p_j sum c. 1 - p comes from the sum of the others, so that it is right near p = 1.
template <class T>
void focal_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1), gamma = O::broadcast(&p.parameter), scale = O::broadcast(&p.scale);
  const V<T> tiny = O::set(math::Constants<T>::smallest);
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    const V<T> label = p.labels ? load_as<T, std::int32_t>(p.labels + o) : V<T>{};
    V<T> high, best{}, rest{}, loss{}, total{};
    const V<T> guess = largest<T>(p.a + o, p.units, high);
    for (Index j = 0; j < p.units; ++j) {
      const V<T> e = math::exp<O>(O::load(p.a + j * kLanes + o) - high);
      rest += O::select(guess == O::set(static_cast<double>(j)), V<T>{}, e);
    }
    const V<T> sum = one + rest, log_sum = math::log1p<O>(rest);
    for (Index j = 0; j < p.units; ++j) {
      const V<T> place = O::set(static_cast<double>(j)), x = O::load(p.a + j * kLanes + o) - high;
      const V<T> t = p.labels ? O::select(label == place, one, V<T>{}) : O::load(p.target + j * kLanes + o);
      const V<T> e = math::exp<O>(x), log_p = x - log_sum;
      V<T> q = O::select(guess == place, rest, sum - e) / sum;
      q = O::select(q < tiny, tiny, q);
      const V<T> power = math::exp<O>((gamma - one) * math::log<O>(q)), focus = power * q;  // (1 - p)^(g-1), (1 - p)^g
      const auto counts = t != V<T>{};                                                      // else 0 times the logarithm of 0
      loss += O::select(counts, -t * (focus * log_p), V<T>{});
      const V<T> c = O::select(counts, t * O::fma(gamma * (e / sum) * power, log_p, -focus), V<T>{});
      total += c;
      if (p.delta) O::store(p.delta + j * kLanes + o, c);
    }
    O::store(p.loss_rows + o, loss);
    const V<T> answer = p.labels ? label : largest<T>(p.target + o, p.units, best);
    O::store(p.metric_rows + o, O::select(guess == answer, one, V<T>{}));
    for (Index j = 0; p.delta && j < p.units; ++j) {
      T* d = p.delta + j * kLanes + o;
      const V<T> share = math::exp<O>(O::load(p.a + j * kLanes + o) - high) / sum;
      O::store(d, scale * O::fma(-share, total, O::load(d)));
    }
  }
}

// (1/n) sum max(z, 0) - z t + log(1 + exp(-|z|)); delta = (sigmoid(z) - t) / n.
template <class T>
void binary_cross_entropy_loss(const LossArgs<T>& p) {
  using O = Ops<T>;
  const V<T> one = O::set(1), half = O::set(0.5);
  const V<T> share = one / O::set(static_cast<double>(p.units));
  const V<T> scale = O::broadcast(&p.scale) * share;
  for (int v = 0; v < vectors<T>(p.lanes); ++v) {
    const Index o = v * O::width;
    V<T> sum{}, right{};
    for (Index j = 0; j < p.units; ++j) {
      const V<T> z = O::load(p.a + j * kLanes + o), t = O::load(p.target + j * kLanes + o);
      const V<T> e = math::exp<O>(-absolute<T>(z));
      sum += O::fma(-z, t, relu<T>(z)) + math::log1p<O>(e);
      const auto yes = z > V<T>{};
      right += O::select(yes == (t > half), one, V<T>{});
      if (p.delta) O::store(p.delta + j * kLanes + o, (O::select(yes, one, e) / (one + e) - t) * scale);
    }
    O::store(p.loss_rows + o, sum * share);
    O::store(p.metric_rows + o, right);
  }
}

template <class T>
RG_INLINE void loss_of_rows(const LossArgs<T>& args) {
  switch (args.loss) {
    case Loss::mse:
    case Loss::quadratic:
      return squared_loss(args);
    case Loss::cross_entropy:
      return args.parameter == 0 ? cross_entropy_loss<T, false>(args) : cross_entropy_loss<T, true>(args);
    case Loss::binary_cross_entropy:
      return binary_cross_entropy_loss(args);
    case Loss::mae:
      return absolute_loss(args);
    case Loss::huber:
      return huber_loss(args);
    case Loss::poisson:
      return poisson_loss(args);
    case Loss::quantile:
      return quantile_loss(args);
    case Loss::hinge:
      return args.labels ? margin_loss(args) : hinge_loss(args);
    case Loss::focal:
      return focal_loss(args);
  }
}

template <class T>
void loss(const LossArgs<T>& args) {
  loss_of_rows(args);
  if (!args.weights || !args.delta) return;
  map_rows(args.units, args.lanes, args.delta, [&args](V<T> d, Index i) RG_LAMBDA {
    const V<T> w = Ops<T>::load(args.weights + i % kLanes);
    return Ops<T>::select(w == V<T>{}, V<T>{}, d * w);
  });
}

}  // namespace
}  // namespace retrograd

#include "kernels/regular.h"
#include "kernels/small.h"

namespace retrograd {
namespace {

template <class T>
constexpr Kernels<T> table() {
  return {Ops<T>::width,
          kMr<T>,
          kGroup<T>,
          kRowGroup<T>,
          forward<T>,
          forward_rows<T>,
          delta<T>,
          delta_rows<T>,
          dw<T>,
          dw_rows<T>,
          db<T>,
          update<T>,
          squares<T>,
          transpose<T>,
          {gather<T, float>, gather<T, double>, gather<T, std::uint8_t>},
          {convert<T, float>, convert<T, double>, convert<T, std::uint8_t>},
          {finite<T, float>, finite<T, double>, finite<T, std::uint8_t>},
          activate<T>,
          derive<T>,
          loss<T>,
          small_forward<T>,
          small_backward<T>,
          small_update<T>,
          drop<T>,
          add_noise<T>,
          limit_norm<T>,
          normalise_rows<T>,
          denormalise_rows<T>,
          unit_sums<T>,
          normalise_units<T>,
          denormalise_units<T>};
}

}  // namespace

extern const KernelTable RG_CONCAT(kernels_, RG_ISA);
const KernelTable RG_CONCAT(kernels_, RG_ISA) = {RG_STRING(RG_ISA), kFused, table<float>(), table<double>()};

}  // namespace retrograd
