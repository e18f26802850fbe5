// The table of per-ISA functions: families of pointers, each pointer with its contract. No code is
// here. What the functions take besides pointers and sizes is in arguments.h; the code is in the
// header that each family names.
//
// kernels.cpp is compiled once per instruction set and exports one `KernelTable`. Every table gives the same bits where
// the instruction set has fused multiply-add (`fused`): each element of a product is one chain of fused multiply-adds
// over the reduction index in ascending order, and everything else is computed lane by lane in the same operations.
//
// Unless said otherwise, pointers into panels are aligned to 64 bytes, and operands do not overlap.
// Nothing outside of the named rows is read or written, and of a row of a panel only the vectors that
// hold the first `lanes` lanes.
#pragma once

#include "base/panel.h"
#include "kernels/arguments.h"

namespace retrograd {

constexpr Index kDeltaRows = 8;  // rows of the batch that one call of delta_rows takes

// How large the products' tiles are; tiles.h computes it.
struct TileSizes {
  int width;  // lanes of a vector
  int mr;     // rows of the widest register tile; a hint for how to split work
  int group;  // panels that one call of a product may take: lanes <= 16 group, and lanes past 16 lie in the next panel
  // The same for forward_rows of one row, which has no other sums to hide the latency of an add behind.
  int row_group;
};

// products.h: forward and delta.
template <class T>
struct Products {
  // z[r][lane] = bias[r] + sum_k w[k][r] x[k][lane] for r < units <= 16. w: [k][16] of one weight panel; x:
  // [k][16]; a: [units][16]. With `bias` null the sums go on from what a holds. With `last` z is complete:
  // it is stored in `z` where that is not null, and activation(z) is stored in a. Not for softmax.
  void (*forward)(Index k, Index units, int lanes, const T* w, Panels<const T> x, const T* bias, Panels<T> a, Panels<T> z,
                  bool last, Activation activation);

  // The same sums with rows of x in any place (no alignment) and lanes = outputs: z[r][j] = bias[j] +
  // sum_k x[r][k] w[k][j] for r < rows <= 16. z: [rows][16]. With `bias` null the sums go on from z.
  void (*forward_rows)(Index k, Index rows, int lanes, const T* const* x, Index offset, Panels<const T> w, const T* bias,
                       Panels<T> z);

  // out[r][lane] = sum_n w[r][n] d[n][lane] for r < rows. With `last` it is multiplied by f'(z),
  // computed from a[r][lane] (not for softmax; a is not read for identity; where
  // derived_from_z(activation), `a` is z). w: rows r of weight panel 0 of the block, whose n lie in
  // this panel and the next ones; d: [n][16]. Without `first` the sums go on from out.
  void (*delta)(Index rows, Index n, int lanes, Panels<const T> w, Panels<const T> d, Panels<T> out, Panels<const T> a,
                bool first, bool last, Activation activation);

  // The same product for a few rows of the batch, with lanes = inputs: out[r][k] += sum_n d[r][offset +
  // n] w[k][n] for r < rows <= kDeltaRows, k < units, n < lanes <= 16. w: [units][16] of one weight
  // panel, transposed in registers on the way; d: rows in any place; out: rows `stride` values apart,
  // of which whole vectors are read and written.
  void (*delta_rows)(Index units, Index rows, int lanes, const T* w, const T* const* d, Index offset, T* out, Index stride);
};

// gradients.h: the gradients of a layer's weights and biases, and the step that a fused update takes with them.
template <class T>
struct Gradients {
  // dw[r][lane] = sum_m a[r][m] d[m][lane] for r < rows. a: rows r of batch panel 0 of the block, whose
  // m lie in this panel and the next ones; d: transposed deltas [m][16]; g: [rows][16]. Without `first`
  // the sums go on from g. Where `update` is null, or without `last`, the sum is stored in g. Else w
  // and v ([rows][16]) are updated in place, and g only holds the sums of earlier blocks. Precondition:
  // update is null or update->fused(). v may be null where momentum is 0.
  void (*dw)(Index rows, Index m, int lanes, Panels<const T> a, Panels<const T> d, Panels<T> g, bool first, bool last,
             Panels<T> w, Panels<T> v, const Update<T>* update);

  // The same with a[m][r] = x[m][offset + r], and rows of x in any place.
  void (*dw_rows)(Index rows, Index m, int lanes, const T* const* x, Index offset, Panels<const T> d, Panels<T> g, Panels<T> w,
                  Panels<T> v, const Update<T>* update);

  // db[lane] = sum over m of d[m][lane], in four chains (m mod 4) added as (0 + 1) + (2 + 3). g, w, v: [16], as in dw.
  void (*db)(Index m, const T* d, T* g, T* w, T* v, const Update<T>* update);
};

// updates.h: the optimisers' rules over stored gradients, and running averages.
template <class T>
struct Updates {
  // The update of any rule as a pass of its own. count is a multiple of 16. v is the first plane of the
  // state, or null where the rule has none.
  void (*update)(Index count, const T* g, T* w, T* v, const Update<T>* update);

  // The sum of squares of count values, a multiple of 16, in 16 chains (value i to chain i mod 16)
  // that are then added pairwise.
  double (*squares)(Index count, const T* g);

  // a += tau (b - a) over count values, a multiple of 16.
  void (*blend)(Index count, T tau, const T* b, T* a);
};

// moves.h: copies from one layout or type to another.
template <class T>
struct Moves {
  // dst[i][r] = src[r][i] for r < rows <= 16, i < lanes <= 16; lanes past `rows` of dst become zero. dst: [16][16].
  void (*transpose)(Index rows, Index lanes, const T* src, T* dst);

  // out[k][lane] = x[lane][k] for lane < lanes, converted to T; the other lanes of the vectors that are
  // written become zero. There is one function for each Source. x: 16 pointers to rows of cols values
  // (those past `lanes` are not read). out: [cols][16].
  void (*gather[kSources])(Index cols, int lanes, const void* const* x, T* out);

  // out[k] = x[k] converted to T; neither need be aligned.
  void (*convert[kSources])(Index cols, const void* x, T* out);

  // Whether all count values are finite after conversion to T; x need not be aligned.
  bool (*finite[kSources])(Index count, const void* x);
};

// activate.h: activations and their derivatives.
template <class T>
struct Activations {
  // a = activation(a) over [units][16]; softmax over units.
  void (*activate)(Index units, int lanes, T* a, Activation activation);

  // d *= f'(z), computed from a = f(z) (where derived_from_z, from `a` = z), over [units][16]. For
  // softmax it is the whole Jacobian.
  void (*derive)(Index units, int lanes, T* d, const T* a, Activation activation);
};

// losses.h: the loss of a panel's outputs, with its metric and deltas.
template <class T>
struct Losses {
  void (*loss)(const LossArgs<T>& args);
};

// small.h: the passes over a small network, for a batch of `lanes` <= 16 rows, as lists of calls that
// are run in their order as often as wanted. `layers` begins with the first layer. The calls do, bit by
// bit, what the functions above do layer by layer. Each function writes its list to `calls` (null:
// nowhere) and returns its length, which is no larger with fewer lanes. The caller fills x and, for
// small_backward, delta of the last layer.
template <class T>
struct Small {
  Index (*small_forward)(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>* calls);
  // Computes delta of every layer but the last, and delta_t of every layer.
  Index (*small_backward)(Index depth, const SmallLayer<T>* layers, int lanes, SmallCall<T>* calls);
  // Computes dw and db of every layer. They go straight into w and b, with their velocity `beside` (null:
  // no momentum), or, if `update` is null, they are stored `beside`. `beside` is laid out as `parameters`,
  // in which w and b lie. The calls read what `update` holds when they run, except for its terms.
  Index (*small_update)(Index depth, const SmallLayer<T>* layers, int lanes, const T* parameters, T* beside,
                        const Update<T>* update, SmallCall<T>* calls);
};

// narrow.h: the products of narrow networks, for a chunk of rows of a batch, with lanes = units in every tensor
// ([panels of units][rows of the chunk][16]).
template <class T>
struct Narrow {
  // a[r][lane] = activation(bias[lane] + sum_k x[r][k] w[k][lane]) for r < rows. x: rows whose k lie in this panel and the
  // next ones; w: [k][16] of one weight panel; bias: [16]. The sum itself is stored in `z` where that is not null. Not for
  // softmax.
  void (*narrow_forward)(Index k, Index rows, int lanes, Panels<const T> x, Panels<const T> w, const T* bias, Panels<T> a,
                         Panels<T> z, Activation activation);

  // out[r][lane] = sum_n d[r][n] wt[n][lane] times f'(z), which is computed from a[r][lane] as in `delta`, for r < rows. wt:
  // [n][16] of one panel of the transposed weights.
  void (*narrow_delta)(Index n, Index rows, int lanes, Panels<const T> d, Panels<const T> wt, Panels<T> out, Panels<const T> a,
                       Activation activation);

  // g[r][lane] = sum_m a[m][r] d[m][lane] for r < rows <= 16; without `first` the sums go on from g. Lanes past `lanes` of
  // the vectors that are written become zero. a: [m][16] of one panel, from its row r = 0 on; g: [rows][16].
  void (*narrow_dw)(Index rows, Index m, int lanes, const T* a, Panels<const T> d, Panels<T> g, bool first);

  // The four chains of db: sums[m mod 4][lane] += d[m][lane]; with `first` they begin with 0. m is a multiple of 4 but in the
  // last call. Lanes past `lanes` become zero as in narrow_dw. sums: [4][16]; db over these 4 rows is db of all rows.
  void (*db_part)(Index m, int lanes, const T* d, T* sums, bool first);

  // out[r][k] = row order[r] of x (row r where order is null) at k, converted to T, for r < rows and k < cols. Rows of x lie
  // `stride` bytes apart; neither need be aligned. out: panels of k. There is one function for each Source.
  void (*narrow_rows[kSources])(Index cols, Index rows, const void* x, Index stride, const std::uint32_t* order, Panels<T> out);
};

// noise.h: random changes of the units from `unit` on, a multiple of 4, and of the rows of the batch from `row`
// (lane 0) on. Each number has its own random number of `draw`. from, to: [units][16]; `to` may be `from`.
template <class T>
struct Noise {
  // to = 0 where the random number is below `threshold`, else from * scale.
  void (*drop)(Index units, int lanes, const Draw& draw, Index unit, Index row, std::uint32_t threshold, T scale, const T* from,
               T* to);
  // to = from + deviation n with n standard normal. Units u and u + 1 (u even) get a pair of Box and
  // Muller's numbers (elementary.h).
  void (*add_noise)(Index units, int lanes, const Draw& draw, Index unit, Index row, T deviation, const T* from, T* to);
  // The blocks of Philox (base/random.h) whose counters are {first + i, draw.step, draw.stream} with a number first + i of 64
  // bits, for i < count, a multiple of 16: words 0 and 1 of each as one number of a, words 2 and 3 as one of b.
  void (*blocks)(const Draw& draw, std::uint64_t first, Index count, std::uint64_t* a, std::uint64_t* b);
};

// norms.h: normalisation, and the limit on norms of weights.
template <class T>
struct Norms {
  // Each column of w, [rows][16], whose norm is above `most` is scaled down to it. The sum of squares is taken in four chains
  // (row mod 4) added as (0 + 1) + (2 + 3); where it overflows, the column becomes NaN.
  void (*limit_norm)(Index rows, T* w, T most);

  // Normalises each row over its units: hat = (z - mean) rstd, rstd = 1 / sqrt(variance + eps), a =
  // gamma hat + beta. Sums run in four chains (unit mod 4) that are added as (0 + 1) + (2 + 3). z, hat,
  // a: [units][16], rstd: [16]; a may be z; hat and rstd may be null.
  void (*normalise_rows)(Index units, int lanes, T eps, const T* gamma, const T* beta, const T* z, T* hat, T* rstd, T* a);
  // The way back of normalise_rows, with g = d gamma: product = d hat, then d = rstd (g - mean
  // of g - hat mean of (g hat)).
  void (*denormalise_rows)(Index units, int lanes, const T* gamma, const T* hat, const T* rstd, T* d, T* product);

  // For each of `units` <= 16 units, the sum over the rows of a batch of x y (of x where y.data is
  // null), or, where `centre` is given, of (x - centre)^2; it is 0 for the units after them. The sums
  // run in 16 chains (row mod 16) that are then added pairwise: l and l + 8, l + 4, l + 2, l + 1. x, y:
  // panels with lanes = rows; centre: [units]; out: [16].
  void (*unit_sums)(Index units, Index rows, Panels<const T> x, Panels<const T> y, const T* centre, T* out);
  // hat = (z - mean) rstd, a = gamma hat + beta, with one mean, rstd, gamma, beta for each unit; hat may be null, a may be z.
  void (*normalise_units)(Index units, int lanes, const T* mean, const T* rstd, const T* gamma, const T* beta, const T* z,
                          T* hat, T* a);
  // d = factor (d - mean - hat slope), with one factor, mean, slope for each unit.
  void (*denormalise_units)(Index units, int lanes, const T* mean, const T* slope, const T* factor, const T* hat, T* d);
};

template <class T>
struct Kernels : TileSizes,
                 Products<T>,
                 Gradients<T>,
                 Updates<T>,
                 Moves<T>,
                 Activations<T>,
                 Losses<T>,
                 Small<T>,
                 Narrow<T>,
                 Noise<T>,
                 Norms<T> {
  // Another table's functions, with the same bits, that are faster for calls of at most `few_lanes`
  // lanes. dispatch.h says where there are any.
  const Kernels<T>* for_few_lanes = nullptr;
  int few_lanes = 0;
  const Kernels& of(int lanes) const { return lanes <= few_lanes ? *for_few_lanes : *this; }
};

struct KernelTable {
  const char* isa;
  bool fused;
  Kernels<float> f32;
  Kernels<double> f64;
};

}  // namespace retrograd
