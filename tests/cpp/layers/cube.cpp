// One layer of every shape (m rows of a batch, n outputs, k inputs, each in 1..65), by every table, with a
// guard page at every operand: forward, deltas, dw and db are the chains of the contract, and nothing beside an
// operand is read or written. Single kernels, with every activation and kind of update, are tested in kernels/.
#include <functional>

#include "layers/dense.h"
#include "support/guarded.h"
#include "support/oracle/activations.h"
#include "support/tables.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

constexpr Index kMost = 65;

// In the long tier all sizes; else those at the edges of vectors, panels and tiles.
std::vector<Index> sizes() {
  std::vector<Index> list;
  for (Index i = 1; i <= kMost; ++i) {
    if (long_tier() || i <= 2 || (i >= 5 && i <= 9) || (i >= 15 && i <= 17) || (i >= 31 && i <= 33) || i >= 63) {
      list.push_back(i);
    }
  }
  return list;
}

// Arrays of [outer][a][b], kMost each.
template <class T>
class Cube {
 public:
  Cube() : values_(static_cast<std::size_t>(kMost * kMost * (kMost + 1))) {}
  T& at(Index outer, Index a, Index b) { return values_[static_cast<std::size_t>((outer * kMost + a) * kMost + b)]; }
  T at(Index outer, Index a, Index b) const { return const_cast<Cube*>(this)->at(outer, a, b); }

 private:
  Values<T> values_;
};

// The operands of the largest layer, and every sum after each step of its reduction. A smaller
// layer's sums are among them.
template <class O>
struct Sums {
  using T = typename O::T;
  Values<T> x, w, b, d;  // [m][k], [k][n], [n], [m][n]
  Cube<T> z, below, dw;  // z[k][m][n], below[n][m][k], dw[m][k][n]

  explicit Sums(Dice& dice)
      : x(dice.numbers<T>(kMost * kMost)),
        w(dice.numbers<T>(kMost * kMost)),
        b(dice.numbers<T>(kMost)),
        d(dice.numbers<T>(kMost * kMost)) {
    for (Index i = 0; i < kMost; ++i) {
      for (Index j = 0; j < kMost; ++j) {
        z.at(0, i, j) = b[static_cast<std::size_t>(j)];
        for (Index s = 0; s < kMost; ++s) {
          z.at(s + 1, i, j) = O::fma(at(x, i, s), at(w, s, j), z.at(s, i, j));
          below.at(s + 1, i, j) = O::fma(at(w, j, s), at(d, i, s), below.at(s, i, j));
          dw.at(s + 1, i, j) = O::fma(at(x, s, i), at(d, s, j), dw.at(s, i, j));
        }
      }
    }
  }
  static T at(const Values<T>& values, Index r, Index c) { return values[static_cast<std::size_t>(r * kMost + c)]; }
  T db(Index m, Index j) const {
    T chain[4] = {};
    for (Index r = 0; r < m; ++r) chain[r % 4] += at(d, r, j);
    return (chain[0] + chain[1]) + (chain[2] + chain[3]);
  }
};

// Panels as a layer has them, with nothing behind the last row; what must not matter is NaN.
template <class T>
struct Tensor {
  Values<T> values;
  Index height;

  // value(row, lane) for rows x lanes.
  template <class F>
  Tensor(Index rows, Index lanes, Index height_, F value)
      : values(static_cast<std::size_t>(((panels(lanes) - 1) * height_ + rows) * kLanes), nan<T>()), height(height_) {
    for (Index j = 0; j < lanes; ++j) {
      for (Index r = 0; r < rows; ++r) values[place(r, j)] = value(r, j);
    }
  }
  Tensor(Index rows, Index lanes, Index height_) : Tensor(rows, lanes, height_, [](Index, Index) { return nan<T>(); }) {}
  std::size_t place(Index r, Index j) const {
    return static_cast<std::size_t>((j / kLanes * height + r) * kLanes + j % kLanes);
  }
};

template <class O>
struct Layer {
  using T = typename O::T;
  const Sums<O>& sums;
  const Kernels<T>& kernels;
  std::string name;
  Index m, n, k;
  Guard guard;

  Operands<T>& memory = operands<T>(guard);
  Interrupt interrupt{Poll{}};
  InterruptWatch watch{interrupt};
  Part part{0, panels(m)};

  template <class Got, class Want>
  void expect(const char* what, Index rows, Index cols, Got got, Want want) const {
    for (Index i = 0; i < rows; ++i) {
      for (Index j = 0; j < cols; ++j) {
        if (!same<T>(got(i, j), want(i, j))) {
          FAIL(name << words(": m, n, k", m, n, k) << ": " << what << " at " << i << ", " << j << ": got " << got(i, j)
                    << ", expected " << want(i, j));
        }
      }
    }
  }
  void expect_panels(const char* what, Index rows, Index cols, const T* got, const Tensor<T>& like,
                     const std::function<T(Index, Index)>& want) const {
    expect(
        what, rows, cols, [&](Index i, Index j) { return got[like.place(i, j)]; }, want);
  }

  void run() {
    const Index hk = padded_rows(k), hn = padded_rows(n), rows_t = panels(m) * kLanes;
    const auto zero = [](Index, Index) { return T(0); };
    // The lanes past n of weights, biases and transposed deltas are zero.
    Tensor<T> w(k, panels(n) * kLanes, hk, zero), v(w), wide_d(rows_t, panels(n) * kLanes, rows_t, zero);
    for (Index r = 0; r < k; ++r) {
      for (Index j = 0; j < n; ++j) w.values[w.place(r, j)] = Sums<O>::at(sums.w, r, j);
    }
    Values<T> bias(static_cast<std::size_t>(panels(n) * kLanes));
    std::copy_n(sums.b.begin(), n, bias.begin());
    const Tensor<T> x(k, m, hk, [&](Index r, Index lane) { return Sums<O>::at(sums.x, lane, r); });
    const Tensor<T> d(n, m, hn, [&](Index r, Index lane) { return Sums<O>::at(sums.d, lane, r); });
    const Tensor<T> a(n, m, hn), below(k, m, hk);

    DenseLayer<T> layer;
    layer.fan_in = k;
    layer.fan_out = n;
    layer.activation = (m + n + k) % 2 ? Activation::relu : Activation::identity;
    T* const pw = memory.out(w.values);
    T* const pb = memory.out(bias);
    layer.w = {pw, hk};
    layer.b = pb;
    const T *px = memory.in(x.values), *pd = memory.in(d.values);
    T *pa = memory.out(a.values), *pz = memory.out(a.values), *pbelow = memory.out(below.values);
    T* const pt = memory.out(wide_d.values);
    const auto z = [&](Index j, Index r) { return sums.z.at(k, r, j); };
    const auto f = [&](Index j, Index r) { return oracle::Activations<O>::activated(sums.z.at(k, r, j), layer.activation); };
    const auto db = [&](Index, Index j) { return sums.db(m, j); };

    dense_forward<T>(kernels, layer, {pa, hn}, {n % 3 ? nullptr : pz, hn}, {px, hk}, part, m, watch);
    expect_panels("a", n, m, pa, a, f);
    if (n % 3 == 0) expect_panels("z", n, m, pz, a, z);
    dense_delta<T>(kernels, layer, {pbelow, hk}, {pd, hn}, {px, hk}, layer.activation, part, m, watch);
    expect_panels("delta below", k, m, pbelow, below, [&](Index i, Index r) {
      return oracle::Activations<O>::derived(sums.below.at(n, r, i), Sums<O>::at(sums.x, r, i), layer.activation);
    });
    transpose_delta<T>(kernels, n, {pt, rows_t}, {pd, hn}, part, m);
    expect_panels("delta, transposed", m, n, pt, wide_d, [&](Index r, Index j) { return Sums<O>::at(sums.d, r, j); });

    T *pg = memory.out(v.values), *pgb = memory.out(bias);
    LayerSink<T> target;
    target.g = {pg, hk};
    target.g_bias = pgb;
    dense_dw<T>(kernels, layer, target, {px, hk}, nullptr, {pt, rows_t}, m, Share{});
    const auto dw = [&](Index i, Index j) { return sums.dw.at(m, i, j); };
    expect_panels("dw", k, n, pg, w, dw);
    expect(
        "db", 1, n, [&](Index, Index j) { return pgb[j]; }, db);

    if (m < kLanes) run_rows(layer, f, dw);

    // The update in place comes last, because it changes w.
    const Update<T> update{T(0.1), T(0.9), 0, false};
    T *pv = memory.out(v.values), *pvb = memory.out(bias);
    LayerSink<T> step;
    step.v = {pv, hk};
    step.v_bias = pvb;
    step.update = step.bias_update = &update;
    dense_dw<T>(kernels, layer, step, {px, hk}, nullptr, {pt, rows_t}, m, Share{});
    expect_panels("w after its update", k, n, pw, w, [&](Index i, Index j) {
      return O::fma(-update.lr, O::fma(update.momentum, T(0), dw(i, j)), Sums<O>::at(sums.w, i, j));
    });
    if (!memory.kept()) FAIL(name << words(": m, n, k", m, n, k) << ": an input or memory beside an operand was written");
  }

  // Batches under 16 take inputs by row pointers; under kFewRows everything goes by rows.
  template <class F, class Dw>
  void run_rows(const DenseLayer<T>& layer, F f, Dw dw) {
    const Index hk = padded_rows(k), hn = padded_rows(n);
    std::vector<const T*> x, d;
    for (Index r = 0; r < m; ++r) {
      x.push_back(GuardedRows<T>::pool().place(r, &sums.x[static_cast<std::size_t>(r * kMost)], k, guard));
      d.push_back(GuardedRows<T>::pool().place(m + r, &sums.d[static_cast<std::size_t>(r * kMost)], n, guard));
    }
    const Tensor<T> a(n, m, hn), g(k, panels(n) * kLanes, hk);
    const Tensor<T> d_t(panels(m) * kLanes, panels(n) * kLanes, panels(m) * kLanes,
                        [&](Index r, Index j) { return r < m && j < n ? Sums<O>::at(sums.d, r, j) : T(0); });
    T* const pa = memory.out(a.values);
    T* const pz_rows = memory.out(a.values);
    dense_forward_rows<T>(kernels, layer, {pa, hn}, {pz_rows, hn}, x.data(), part, m, watch);
    expect_panels("a from rows", n, m, pa, a, f);
    expect_panels("z from rows", n, m, pz_rows, a, [&](Index j, Index r) { return sums.z.at(k, r, j); });

    T *pg = memory.out(g.values), *pgb = memory.out(Values<T>(static_cast<std::size_t>(panels(n) * kLanes)));
    const T* const pt = memory.out(d_t.values);
    LayerSink<T> target;
    target.g = {pg, hk};
    target.g_bias = pgb;
    dense_dw<T>(kernels, layer, target, {}, x.data(), {pt, panels(m) * kLanes}, m, Share{});
    expect_panels("dw from rows", k, n, pg, g, dw);

    if (m < 6) {
      T* const rows = memory.out(Values<T>(static_cast<std::size_t>(m * n)));
      T* const z_rows = memory.out(Values<T>(static_cast<std::size_t>(m * n)));
      dense_forward_few_rows<T>(kernels, layer, {rows, n, nullptr}, {z_rows, n, nullptr}, x.data(), part, m, watch);
      expect(
          "z of few rows", m, n, [&](Index r, Index j) { return z_rows[r * n + j]; },
          [&](Index r, Index j) { return sums.z.at(k, r, j); });
      expect(
          "a of few rows", m, n, [&](Index r, Index j) { return rows[r * n + j]; }, [&](Index r, Index j) { return f(j, r); });
      const Tensor<T> t(panels(m) * kLanes, k, panels(m) * kLanes);
      T *below = memory.out(Values<T>(static_cast<std::size_t>(m * k))), *below_t = memory.out(t.values);
      dense_delta_few_rows<T>(kernels, layer, {below, k, nullptr}, {below_t, t.height}, d.data(), x.data(), layer.activation,
                              part, m, watch);
      const auto want = [&](Index r, Index i) {
        return oracle::Activations<O>::derived(sums.below.at(n, r, i), Sums<O>::at(sums.x, r, i), layer.activation);
      };
      expect(
          "delta of few rows", m, k, [&](Index r, Index i) { return below[r * k + i]; }, want);
      expect_panels("delta of few rows, transposed", m, k, below_t, t, want);
      T* const back = memory.out(Values<T>(static_cast<std::size_t>(m * n)));
      copy_delta_rows<T>(n, m, {back, n, nullptr}, {pt, panels(m) * kLanes});
      expect(
          "delta as rows", m, n, [&](Index r, Index j) { return back[r * n + j]; },
          [&](Index r, Index j) { return Sums<O>::at(sums.d, r, j); });
    }
  }
};

template <class O>
void check_cube(const KernelTable& table) {
  using T = typename O::T;
  Dice dice(20);
  const Sums<O> sums(dice);
  Index shapes = 0;
  for (const Index m : sizes()) {
    for (const Index n : sizes()) {
      for (const Index k : sizes()) {
        for (const Guard guard : kGuards) {
          Layer<O>{sums, kernels_of<T>(table), table.isa, m, n, k, guard}.run();
        }
        ++shapes;
      }
    }
  }
  MESSAGE(std::string(table.isa) << (sizeof(T) == 4 ? " float32: " : " float64: ") << shapes << " shapes");
}

}  // namespace

TEST_CASE_TEMPLATE("layers: every shape at guard pages", T, float, double) {
  for (const KernelTable* table : tested_tables()) {
    if (table->fused) {
      check_cube<Scalar<T>>(*table);
    } else {
      check_cube<Unfused<T>>(*table);
    }
  }
}
