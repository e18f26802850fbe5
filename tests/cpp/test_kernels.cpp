// Every kernel of every table that this CPU runs against the oracle, to the last bit, each operand at a guard page.
// What whole layers and networks make of the kernels is test_network.cpp's.
#include "guarded.h"
#include "tables.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

constexpr Activation kActivations[] = {
    Activation::identity, Activation::relu,      Activation::leaky_relu, Activation::tanh,     Activation::sigmoid,
    Activation::elu,      Activation::selu,      Activation::softplus,   Activation::softsign, Activation::exponential,
    Activation::gelu,     Activation::gelu_tanh, Activation::silu,       Activation::mish};
constexpr Index kActivationCount = sizeof kActivations / sizeof kActivations[0];

// ---------------------------------------------------------------------------------------------- what is compared

// Kernels under test, and those that say what must come out.
template <class T>
struct Pair {
  const Kernels<T>& kernels;
  const Kernels<T>& oracle;
  std::string name;
  int width;          // lanes of a vector that a call may write
  bool first = true;  // of those with this oracle: while it has its turn, the oracle itself is held against formulas

  // A kernel may write the whole of a vector that holds a valid lane.
  int written(int lanes) const { return (lanes + width - 1) / width * width; }
};

template <class T>
Pair<T> pair_of(const KernelTable& table, const Kernels<T>& oracle) {
  const std::string isa = table.isa;
  const int bytes = isa == "avx2" ? 32 : isa == "baseline" || isa == "neon" ? 16 : 64;  // avx512, halves
  return {kernels_of<T>(table), oracle, isa + (sizeof(T) == 4 ? " float32" : " float64"), bytes / static_cast<int>(sizeof(T))};
}

template <class T>
std::vector<Pair<T>> pairs() {
  std::vector<Pair<T>> list;
  for (const KernelTable* table : tested_tables()) {
    Pair<T> pair = pair_of<T>(*table, oracle_of<T>(*table));
    for (const Pair<T>& before : list) pair.first = pair.first && &before.oracle != &pair.oracle;
    list.push_back(std::move(pair));
  }
  return list;
}

// One panel: where the next one would lie must not matter.
template <class T>
Panels<T> one(T* p) {
  return {p, 1 << 20};
}

// [rows][16] with numbers in the first `lanes` lanes; the others must not matter.
template <class T>
Values<T> panel(Dice& dice, Index rows, Index lanes) {
  Values<T> values(static_cast<std::size_t>(rows * kLanes), nan<T>());
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < lanes; ++i) values[static_cast<std::size_t>(r * kLanes + i)] = dice.number<T>();
  }
  return values;
}

// `rows` rows out of panels that lie `jump` values apart and hold n lanes together; nothing behind the last row.
template <class T>
Values<T> panels_apart(Dice& dice, Index rows, Index n, Index jump) {
  Values<T> values(static_cast<std::size_t>((panels(n) - 1) * jump + rows * kLanes), nan<T>());
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < n; ++i)
      values[static_cast<std::size_t>(i / kLanes * jump + r * kLanes + i % kLanes)] = dice.number<T>();
  }
  return values;
}

// The test case ends at the first difference: one is enough to know, thousands are none to read.
template <class T, class Describe>
void expect_panel(const Pair<T>& pair, const T* got, const Values<T>& want, int lanes, Describe describe) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    const int lane = static_cast<int>(i % kLanes);
    if (lane >= lanes && lane < pair.written(lanes)) continue;
    if (!same(got[i], want[i])) {
      FAIL(pair.name << ": " << describe() << ": row " << i / kLanes << " lane " << lane << " of " << lanes << ": got "
                     << got[i] << ", expected " << want[i] << std::string(lane < lanes ? "" : " (not to be touched)"));
    }
  }
}

template <class T, class Describe>
void expect_values(const Pair<T>& pair, const T* got, const Values<T>& want, Describe describe) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (!same(got[i], want[i])) {
      FAIL(pair.name << ": " << describe() << ": value " << i << ": got " << got[i] << ", expected " << want[i]);
    }
  }
}

template <class T, class Describe>
void expect_kept(const Pair<T>& pair, const Operands<T>& memory, Describe describe) {
  if (!memory.kept()) FAIL(pair.name << ": " << describe() << ": an input or the memory beside an operand was written");
}

template <class T>
Index count_of(const Values<T>& values) {
  return static_cast<Index>(values.size());
}

std::vector<Index> reductions() {
  std::vector<Index> sizes = sizes_to(65);
  if (!few_sizes()) sizes.insert(sizes.end(), {127, 193, 257});
  return sizes;
}

// ---------------------------------------------------------------------------------------------- forward

struct ForwardCase {
  Index k, units;
  int lanes;
  bool bias = true, last = true, keep_z = false;
  Activation activation = Activation::identity;

  std::string describe() const {
    return words("forward k", k) + words(" units", units) + words(" lanes", lanes) + words(" bias", bias) +
           words(" last", last) + words(" z", keep_z) + words(" activation", activation);
  }
};

template <class T>
void check_forward(const Pair<T>& pair, const ForwardCase& c, Dice& dice, T special = T(0)) {
  const Values<T> w = panel<T>(dice, c.k, c.units), b = panel<T>(dice, 1, c.units);
  Values<T> x = panel<T>(dice, c.k, c.lanes);
  if (special != 0) x[static_cast<std::size_t>(dice.below(c.k) * kLanes + dice.below(c.lanes))] = special;
  const Values<T> a0 = dice.numbers<T>(c.units * kLanes), z0 = dice.numbers<T>(c.units * kLanes);
  Values<T> a = a0, z = z0;
  pair.oracle.forward(c.k, c.units, c.lanes, w.data(), one(x.data()), c.bias ? b.data() : nullptr, one(a.data()),
                      one(c.keep_z ? z.data() : nullptr), c.last, c.activation);
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    const T* bias = memory.in(b);
    T* got_a = memory.out(a0);
    T* got_z = memory.out(z0);
    const T *pw = memory.in(w), *px = memory.in(x);
    pair.kernels.forward(c.k, c.units, c.lanes, pw, one(px), c.bias ? bias : nullptr, one(got_a),
                         one(c.keep_z ? got_z : nullptr), c.last, c.activation);
    const auto describe = [&] { return c.describe(); };
    expect_panel(pair, got_a, a, c.lanes, describe);
    expect_panel(pair, got_z, z, c.lanes, describe);
    expect_kept(pair, memory, describe);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("forward: sums of every shape", T, float, double) {
  Dice dice(1);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index k : reductions()) {
      for (const Index units : sizes_to(kLanes)) {
        for (const Index lanes : sizes_to(kLanes)) check_forward(pair, {k, units, static_cast<int>(lanes)}, dice);
      }
    }
  }
}

TEST_CASE_TEMPLATE("forward: going on, leaving off, keeping z, every activation, NaN and infinity", T, float, double) {
  Dice dice(2);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Activation f : kActivations) {
      for (const Index units : sizes_to(kLanes)) {
        for (const Index lanes : sizes_to(kLanes)) {
          for (int flags = 0; flags < 8; ++flags) {
            const Index k = 1 + dice.below(7);
            const ForwardCase c{k, units, static_cast<int>(lanes), (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, f};
            check_forward(pair, c, dice);
            if (flags != 3 && flags != 7) continue;
            for (const T special : {nan<T>(), infinity<T>(), -infinity<T>()}) check_forward(pair, c, dice, special);
          }
        }
      }
    }
  }
}

// In every cut of the reduction: the bits of one uncut run.
TEST_CASE_TEMPLATE("forward: a cut chain is the whole chain", T, float, double) {
  Dice dice(3);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index k : reductions()) {
      for (const Index units : {1, 5, 6, 13, 16}) {
        for (const int lanes : {1, 9, 16}) {
          const Values<T> w = panel<T>(dice, k, units), x = panel<T>(dice, k, lanes), b = panel<T>(dice, 1, units);
          alignas(64) T whole[kLanes * kLanes] = {}, parts[kLanes * kLanes] = {};
          Operands<T>& memory = operands<T>(Guard::behind);
          const T *pw = memory.in(w), *px = memory.in(x), *pb = memory.in(b);
          pair.kernels.forward(k, units, lanes, pw, one(px), pb, one(&whole[0]), {}, true, Activation::tanh);
          for (Index cut = 1; cut < k; ++cut) {
            const Index second = cut + (k - cut) / 2;  // a third part where there is room
            const auto part = [&](Index k0, Index k1) {
              pair.kernels.forward(k1 - k0, units, lanes, pw + k0 * kLanes, one(px + k0 * kLanes), k0 == 0 ? pb : nullptr,
                                   one(&parts[0]), {}, k1 == k, Activation::tanh);
            };
            part(0, cut);
            if (second > cut) part(cut, second);
            part(second, k);
            expect_panel(pair, parts, Values<T>(whole, whole + units * kLanes), lanes,
                         [&] { return words("forward k, cut, units", k, cut, units); });
          }
        }
      }
    }
  }
}

namespace {

// x[r][offset + i] in rows of their own, each at a guard page.
template <class T>
struct UserRows {
  Index count, cols;
  Values<T> values;
  std::vector<const T*> pointers;

  UserRows(Dice& dice, Index count_, Index cols_) : count(count_), cols(cols_), values(dice.numbers<T>(count_ * cols_)) {}
  const T* row(Index r) const { return values.data() + r * cols; }

  const T* const* place(Guard guard) {
    pointers.clear();
    for (Index r = 0; r < count; ++r) pointers.push_back(GuardedRows<T>::pool().place(r, row(r), cols, guard));
    static Operand<const T*> list(1024);
    return list.place(pointers, guard);
  }
  bool kept() const {
    for (Index r = 0; r < count; ++r) {
      if (std::memcmp(pointers[static_cast<std::size_t>(r)], row(r), static_cast<std::size_t>(cols) * sizeof(T)) != 0)
        return false;
    }
    return true;
  }
  // The same as a panel: [cols][16], lanes = rows.
  Values<T> gathered() const {
    Values<T> panel(static_cast<std::size_t>(cols * kLanes), nan<T>());
    for (Index r = 0; r < count; ++r) {
      for (Index k = 0; k < cols; ++k) panel[static_cast<std::size_t>(k * kLanes + r)] = row(r)[k];
    }
    return panel;
  }
};

template <class T>
void check_forward_rows(const Pair<T>& pair, Index k, Index rows, int lanes, Index offset, bool bias, Dice& dice) {
  UserRows<T> x(dice, rows, offset + k);
  const Values<T> w = panel<T>(dice, k, lanes), b = panel<T>(dice, 1, lanes), z0 = dice.numbers<T>(rows * kLanes);
  Values<T> z = z0;
  const auto describe = [&] { return words("forward_rows k, rows, lanes, offset, bias", k, rows, lanes, offset, bias); };
  pair.oracle.forward_rows(k, rows, lanes, x.place(Guard::behind), offset, one(w.data()), bias ? b.data() : nullptr,
                           one(z.data()));
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    const T *pw = memory.in(w), *pb = memory.in(b);
    T* got = memory.out(z0);
    pair.kernels.forward_rows(k, rows, lanes, x.place(guard), offset, one(pw), bias ? pb : nullptr, one(got));
    expect_panel(pair, got, z, lanes, describe);
    expect_kept(pair, memory, describe);
    REQUIRE(x.kept());
  }
  if (!bias || offset != 0) return;
  // the other operand order: the bits of `forward`
  const Values<T> panel_x = x.gathered();
  alignas(64) T a[kLanes * kLanes] = {};
  pair.kernels.forward(k, lanes, static_cast<int>(rows), w.data(), one(panel_x.data()), b.data(), one(&a[0]), {}, true,
                       Activation::identity);
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < lanes; ++j) {
      if (!same(a[j * kLanes + r], z[static_cast<std::size_t>(r * kLanes + j)]))
        FAIL(pair.name << ": " << describe() << ": not the bits of forward");
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("forward_rows: every shape, from rows in any place, with the bits of forward", T, float, double) {
  Dice dice(4);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index k : reductions()) {
      for (const Index rows : sizes_to(kLanes)) {
        for (const Index lanes : sizes_to(kLanes)) {
          const bool odd = (k + rows + lanes) % 3 == 0;
          check_forward_rows(pair, k, rows, static_cast<int>(lanes), odd ? rows % 5 : 0, !odd, dice);
        }
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- backward

TEST_CASE_TEMPLATE("delta_rows: every shape, from rows in any place", T, float, double) {
  Dice dice(30);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index units : sizes_to(40)) {
      for (const Index rows : sizes_to(8)) {
        for (const Index lanes : sizes_to(kLanes)) {
          const Index offset = (units + rows) % 3, stride = panels(units) * kLanes;
          UserRows<T> d(dice, rows, offset + lanes);
          const Values<T> w = panel<T>(dice, units, lanes), out0 = dice.numbers<T>(rows * stride);
          Values<T> out = out0;
          const auto describe = [&] { return words("delta_rows units, rows, lanes", units, rows, lanes); };
          pair.oracle.delta_rows(units, rows, static_cast<int>(lanes), w.data(), d.place(Guard::behind), offset, out.data(),
                                 stride);
          for (const Guard guard : kGuards) {
            Operands<T>& memory = operands<T>(guard);
            const T* pw = memory.in(w);
            T* got = memory.out(out0);
            pair.kernels.delta_rows(units, rows, static_cast<int>(lanes), pw, d.place(guard), offset, got, stride);
            for (Index r = 0; r < rows; ++r) {
              for (Index k = 0; k < stride; ++k) {
                const auto i = static_cast<std::size_t>(r * stride + k);
                if (k >= units && k < pair.width * ((units + pair.width - 1) / pair.width)) continue;
                if (!same(got[i], out[i])) FAIL(pair.name << ": " << describe() << ": row " << r << " input " << k);
              }
            }
            expect_kept(pair, memory, describe);
            REQUIRE(d.kept());
          }
        }
      }
    }
  }
}

namespace {

struct DeltaCase {
  Index rows, n;
  int lanes;
  Index gap = 0;  // rows of a panel that are not in the block
  bool first = true, last = true;
  Activation activation = Activation::identity;

  std::string describe() const {
    return words("delta rows", rows) + words(" n", n) + words(" lanes", lanes) + words(" gap", gap) + words(" first", first) +
           words(" last", last) + words(" activation", activation);
  }
};

template <class T>
void check_delta(const Pair<T>& pair, const DeltaCase& c, Dice& dice) {
  const Index jump = (c.rows + c.gap) * kLanes;
  const Values<T> w = panels_apart<T>(dice, c.rows, c.n, jump), d = panel<T>(dice, c.n, c.lanes);
  const Values<T> out0 = dice.numbers<T>(c.rows * kLanes);
  Values<T> a = panel<T>(dice, c.rows, c.lanes), out = out0;
  a[0] = nan<T>();
  if (c.rows > 1) a[kLanes] = T(0);
  pair.oracle.delta(c.rows, c.n, c.lanes, {w.data(), jump / kLanes}, one(d.data()), one(out.data()), one(a.data()), c.first,
                    c.last, c.activation);
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    const T *pa = memory.in(a), *pw = memory.in(w), *pd = memory.in(d);
    T* got = memory.out(out0);
    const bool reads_a = c.last && c.activation != Activation::identity;
    pair.kernels.delta(c.rows, c.n, c.lanes, {pw, jump / kLanes}, one(pd), one(got), one(reads_a ? pa : nullptr), c.first,
                       c.last, c.activation);
    const auto describe = [&] { return c.describe(); };
    expect_panel(pair, got, out, c.lanes, describe);
    expect_kept(pair, memory, describe);
  }
}

// Rows of a block of weights: those of a panel's height, and what loops over tiles make of it.
std::vector<Index> heights() {
  std::vector<Index> rows = sizes_to(19);
  rows.push_back(37);
  return rows;
}

}  // namespace

TEST_CASE_TEMPLATE("delta: sums of every shape", T, float, double) {
  Dice dice(5);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index n : reductions()) {
      for (const Index rows : heights()) {
        for (const Index lanes : sizes_to(kLanes)) check_delta(pair, {rows, n, static_cast<int>(lanes), n % 4}, dice);
      }
    }
  }
}

TEST_CASE_TEMPLATE("delta: going on, leaving off, every activation", T, float, double) {
  Dice dice(6);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Activation f : kActivations) {
      for (const Index rows : heights()) {
        for (const Index lanes : sizes_to(kLanes)) {
          for (int flags = 0; flags < 4; ++flags) {
            const DeltaCase c{rows, 1 + dice.below(33), static_cast<int>(lanes), 3, (flags & 1) != 0, (flags & 2) != 0, f};
            check_delta(pair, c, dice);
          }
        }
      }
    }
  }
}

namespace {

// With all that any rule may have; `from` has the rest.
template <class T>
Update<T> every_term(Update<T> from) {
  from.keep = T(0.75);
  from.scale = T(0.5);
  from.clip = T(0.2);
  from.shrink = T(0.99);
  from.l1 = T(0.03);
  return from;
}

// Every kind of step that is fused; null: the gradient is asked for.
template <class T>
std::vector<const Update<T>*> updates() {
  static const Update<T> all[] = {{T(0.1), 0, 0, false},
                                  {T(0.1), T(0.9), 0, false},
                                  {T(0.1), T(0.9), 0, true},
                                  {T(0.1), 0, T(0.01), false},
                                  {T(0.1), T(0.9), T(0.01), false},
                                  {T(0.1), T(0.9), T(0.01), true},
                                  {T(0.1), 0, 0, true},
                                  every_term<T>({T(0.1), T(0.9), T(0.01), false}),
                                  every_term<T>({T(0.1), 0, 0, false})};
  std::vector<const Update<T>*> list{nullptr};
  for (const Update<T>& u : all) list.push_back(&u);
  return list;
}

template <class T>
std::string describe_update(const Update<T>* u) {
  if (!u) return "no update";
  return "momentum " + std::to_string(u->momentum) + " weight decay " + std::to_string(u->weight_decay) +
         words(" nesterov, rule", u->nesterov, static_cast<Index>(u->rule)) + " clip " + std::to_string(u->clip);
}

// What dw, dw_rows, db and update write: g where the gradient is asked for (or an earlier block left it), w and v where not.
template <class T>
struct Step {
  Values<T> g0, w0, v0, g, w, v;
  T *got_g = nullptr, *got_w = nullptr, *got_v = nullptr;

  Step(Dice& dice, Index rows)
      : g0(dice.numbers<T>(rows * kLanes)),
        w0(dice.numbers<T>(rows * kLanes)),
        v0(dice.numbers<T>(rows * kLanes)),
        g(g0),
        w(w0),
        v(v0) {}

  // Null where the contract lets it be.
  void place(Operands<T>& memory, const Update<T>* update, bool needs_g) {
    got_g = needs_g ? memory.out(g0) : nullptr;
    got_w = update ? memory.out(w0) : nullptr;
    got_v = update && update->momentum != 0 ? memory.out(v0) : nullptr;
  }
  template <class Describe>
  void expect(const Pair<T>& pair, int lanes, Describe describe) const {
    if (got_g) expect_panel(pair, got_g, g, lanes, [&] { return describe() + ": g"; });
    if (got_w) expect_panel(pair, got_w, w, lanes, [&] { return describe() + ": w"; });
    if (got_v) expect_panel(pair, got_v, v, lanes, [&] { return describe() + ": v"; });
  }
};

template <class T>
void check_dw(const Pair<T>& pair, Index rows, Index m, int lanes, bool first, bool last, const Update<T>* update, Dice& dice) {
  const Index jump = (rows + m % 4) * kLanes;
  const Values<T> a = panels_apart<T>(dice, rows, m, jump), d = panel<T>(dice, m, lanes);
  Step<T> step(dice, rows);
  pair.oracle.dw(rows, m, lanes, {a.data(), jump / kLanes}, one(d.data()), one(step.g.data()), first, last, one(step.w.data()),
                 one(step.v.data()), update);
  const auto describe = [&] {
    return words("dw rows, m, lanes, first, last", rows, m, lanes, first, last) + " " + describe_update(update);
  };
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    step.place(memory, update, !update || !first || !last);
    const T *pa = memory.in(a), *pd = memory.in(d);
    pair.kernels.dw(rows, m, lanes, {pa, jump / kLanes}, one(pd), one(step.got_g), first, last, one(step.got_w),
                    one(step.got_v), update);
    // of g, an update that follows earlier blocks may leave anything
    if (update && last) step.got_g = nullptr;
    step.expect(pair, lanes, describe);
    expect_kept(pair, memory, describe);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("dw: sums of every shape, with each kind of update", T, float, double) {
  Dice dice(7);
  const auto kinds = updates<T>();
  for (const Pair<T>& pair : pairs<T>()) {
    std::size_t turn = 0;
    for (const Index m : reductions()) {
      for (const Index rows : heights()) {
        for (const Index lanes : sizes_to(kLanes)) {
          check_dw<T>(pair, rows, m, static_cast<int>(lanes), true, true, kinds[turn++ % kinds.size()], dice);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("dw: going on and leaving off, with each kind of update", T, float, double) {
  Dice dice(8);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Update<T>* update : updates<T>()) {
      for (const Index rows : heights()) {
        for (const Index lanes : sizes_to(kLanes)) {
          for (int flags = 0; flags < 4; ++flags) {
            check_dw<T>(pair, rows, 1 + dice.below(40), static_cast<int>(lanes), (flags & 1) != 0, (flags & 2) != 0, update,
                        dice);
          }
        }
      }
    }
  }
}

namespace {

// A product along panels for the tests of blocks: `a` is read along its lanes, d along its rows.
template <class T>
struct Product {
  Index n, rows;
  int lanes;
  Index jump;
  Values<T> a, d, below;

  Product(Dice& dice, Index n_, Index rows_, int lanes_)
      : n(n_),
        rows(rows_),
        lanes(lanes_),
        jump((rows_ + 2) * kLanes),
        a(panels_apart<T>(dice, rows_, n_, jump)),
        d(panel<T>(dice, n_, lanes_)),
        below(panel<T>(dice, rows_, lanes_)) {}

  std::string describe() const { return words("in blocks, n, rows, lanes", n, rows, lanes); }

  void delta(const Kernels<T>& kernels, Index n0, Index n1, Values<T>& out) const {
    kernels.delta(rows, n1 - n0, lanes, {a.data() + n0 / kLanes * jump, jump / kLanes}, one(d.data() + n0 * kLanes),
                  one(out.data()), one(below.data()), n0 == 0, n1 == n, Activation::sigmoid);
  }
  void dw(const Kernels<T>& kernels, Index n0, Index n1, Step<T>& step, const Update<T>* update) const {
    kernels.dw(rows, n1 - n0, lanes, {a.data() + n0 / kLanes * jump, jump / kLanes}, one(d.data() + n0 * kLanes),
               one(step.g.data()), n0 == 0, n1 == n, one(step.w.data()), one(step.v.data()), update);
  }
};

// Blocks of the reduction end where a panel ends.
template <class T, class Check>
void for_products(std::uint64_t seed, Check check) {
  Dice dice(seed);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index n : {17, 31, 32, 33, 63, 64, 65, 127, 193}) {
      for (const Index rows : {1, 6, 7, 18}) {
        for (const int lanes : {1, 9, 16}) check(pair, Product<T>(dice, n, rows, lanes), dice);
      }
    }
  }
}

// `changed` in the first `lanes` lanes of each row, `old` in the others.
template <class T>
Values<T> in_lanes(int lanes, const Values<T>& changed, Values<T> old) {
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (static_cast<int>(i % kLanes) < lanes) old[i] = changed[i];
  }
  return old;
}

}  // namespace

TEST_CASE_TEMPLATE("delta: a cut chain is the whole chain", T, float, double) {
  for_products<T>(9, [](const Pair<T>& pair, const Product<T>& product, Dice&) {
    Values<T> whole(static_cast<std::size_t>(product.rows * kLanes)), parts(whole);
    product.delta(pair.kernels, 0, product.n, whole);
    for (Index cut = kLanes; cut < product.n; cut += kLanes) {
      product.delta(pair.kernels, 0, cut, parts);
      product.delta(pair.kernels, cut, product.n, parts);
      expect_panel(pair, parts.data(), whole, product.lanes, [&] { return "delta " + product.describe(); });
    }
  });
}

TEST_CASE_TEMPLATE("dw: a cut chain is the whole chain, a fused update is the update of the gradient", T, float, double) {
  for_products<T>(19, [](const Pair<T>& pair, const Product<T>& product, Dice& dice) {
    const int lanes = product.lanes;
    const auto describe = [&] { return "dw " + product.describe(); };
    Step<T> gradient(dice, product.rows);
    product.dw(pair.kernels, 0, product.n, gradient, nullptr);
    for (Index cut = kLanes; cut < product.n; cut += kLanes) {
      for (const Update<T>* update : updates<T>()) {
        Step<T> fused(dice, product.rows), apart = fused;
        product.dw(pair.kernels, 0, cut, fused, update);
        product.dw(pair.kernels, cut, product.n, fused, update);
        if (update) {
          pair.kernels.update(product.rows * kLanes, gradient.g.data(), apart.w.data(), apart.v.data(), update);
        } else {
          expect_panel(pair, fused.g.data(), in_lanes(lanes, gradient.g, fused.g0), lanes, describe);
        }
        expect_panel(pair, fused.w.data(), in_lanes(lanes, apart.w, apart.w0), lanes, describe);
        expect_panel(pair, fused.v.data(), in_lanes(lanes, apart.v, apart.v0), lanes, describe);
      }
    }
  });
}

namespace {

template <class T>
void check_dw_rows(const Pair<T>& pair, Index rows, Index m, int lanes, Index offset, const Update<T>* update, Dice& dice) {
  UserRows<T> x(dice, m, offset + rows);
  const Values<T> d = panel<T>(dice, m, lanes);
  Step<T> step(dice, rows), dw = step;
  pair.oracle.dw_rows(rows, m, lanes, x.place(Guard::behind), offset, one(d.data()), one(step.g.data()), one(step.w.data()),
                      one(step.v.data()), update);
  const auto describe = [&] {
    return words("dw_rows rows, m, lanes, offset", rows, m, lanes, offset) + " " + describe_update(update);
  };
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    step.place(memory, update, !update);
    const T* pd = memory.in(d);
    pair.kernels.dw_rows(rows, m, lanes, x.place(guard), offset, one(pd), one(step.got_g), one(step.got_w), one(step.got_v),
                         update);
    step.expect(pair, lanes, describe);
    expect_kept(pair, memory, describe);
    REQUIRE(x.kept());
  }
  if (m > kLanes) return;
  // the other operand: the bits of dw from the gathered panel
  const Values<T> a = x.gathered();
  pair.kernels.dw(rows, m, lanes, one(static_cast<const T*>(a.data() + offset * kLanes)), one(d.data()), one(dw.g.data()), true,
                  true, one(dw.w.data()), one(dw.v.data()), update);
  step.got_g = update ? nullptr : dw.g.data();
  step.got_w = dw.w.data();
  step.got_v = dw.v.data();
  step.expect(pair, lanes, [&] { return describe() + ": dw of the gathered rows"; });
}

}  // namespace

TEST_CASE_TEMPLATE("dw_rows: every shape, from rows in any place, with the bits of dw", T, float, double) {
  Dice dice(10);
  const auto kinds = updates<T>();
  for (const Pair<T>& pair : pairs<T>()) {
    std::size_t turn = 0;
    for (const Index m : sizes_to(35)) {
      for (const Index rows : heights()) {
        for (const Index lanes : sizes_to(kLanes)) {
          check_dw_rows<T>(pair, rows, m, static_cast<int>(lanes), (m + lanes) % 4, kinds[turn++ % kinds.size()], dice);
        }
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- two panels in one call

namespace {

// Two panels of `rows` rows with a gap between them, and what the oracle makes of each alone.
template <class T>
struct Two {
  Index rows, jump;  // jump: rows from panel to panel
  Values<T> before, want;

  Two(Dice& dice, Index rows_, int lanes, bool output) : rows(rows_), jump(rows_ + 1 + dice.below(3)) {
    const auto half = [&](int n) { return output ? dice.numbers<T>(rows * kLanes) : panel<T>(dice, rows, n); };
    before = half(static_cast<int>(kLanes));
    before.resize(static_cast<std::size_t>(jump * kLanes), nan<T>());
    const Values<T> second = half(lanes - static_cast<int>(kLanes));
    before.insert(before.end(), second.begin(), second.end());
    want = before;
  }
  Panels<T> oracle(Index p) { return {want.data() + p * jump * kLanes, jump}; }
  Panels<T> in(Operands<T>& memory) const { return {const_cast<T*>(memory.in(before)), jump}; }
  Panels<T> out(Operands<T>& memory) const { return {memory.out(before), jump}; }

  template <class Describe>
  void expect(const Pair<T>& pair, Panels<T> got, int lanes, Describe describe) const {
    const auto part = [&](Index from, Index to, int n) {
      const Values<T> wanted(want.begin() + from * kLanes, want.begin() + to * kLanes);
      expect_panel(pair, got.data + from * kLanes, wanted, n, describe);
    };
    part(0, jump, static_cast<int>(kLanes));  // the gap too
    part(jump, jump + rows, lanes - static_cast<int>(kLanes));
  }
};

// check(lanes of both panels, oracle_of_panel) calls its kernel once for both panels and its oracle for each of them.
template <class T, class Check>
void for_two_panels(std::uint64_t seed, Check check) {
  Dice dice(seed);
  for (const Pair<T>& pair : pairs<T>()) {
    if (pair.kernels.group < 2) continue;
    for (const Index n : reductions()) {
      for (const Index rows : sizes_to(kLanes)) {
        for (const int lanes : {17, 18, 24, 31, 32}) {
          for (const Guard guard : kGuards) check(pair, n, rows, lanes, operands<T>(guard), dice);
        }
      }
    }
  }
}

int lanes_of_panel(int lanes, Index p) { return p == 0 ? static_cast<int>(kLanes) : lanes - static_cast<int>(kLanes); }

}  // namespace

TEST_CASE_TEMPLATE("forward: two panels in one call", T, float, double) {
  for_two_panels<T>(21, [](const Pair<T>& pair, Index k, Index units, int lanes, Operands<T>& memory, Dice& dice) {
    const Values<T> w = panel<T>(dice, k, units), b = panel<T>(dice, 1, units);
    Two<T> x(dice, k, lanes, false), a(dice, units, lanes, true), z(dice, units, lanes, true);
    z.jump = a.jump;
    z.before.resize(a.before.size());
    z.want = z.before;
    const bool bias = dice.below(2), last = dice.below(2), keep_z = dice.below(2);
    const Activation f = kActivations[dice.below(kActivationCount)];
    for (Index p = 0; p < 2; ++p) {
      pair.oracle.forward(k, units, lanes_of_panel(lanes, p), w.data(), x.oracle(p), bias ? b.data() : nullptr, a.oracle(p),
                          keep_z ? z.oracle(p) : Panels<T>{}, last, f);
    }
    const T *pb = memory.in(b), *pw = memory.in(w);
    const Panels<T> got_a = a.out(memory), got_z = z.out(memory), px = x.in(memory);
    pair.kernels.forward(k, units, lanes, pw, px, bias ? pb : nullptr, got_a, keep_z ? got_z : Panels<T>{}, last, f);
    const auto describe = [&] { return words("forward of two panels, k, units, lanes", k, units, lanes); };
    a.expect(pair, got_a, lanes, describe);
    z.expect(pair, got_z, lanes, describe);
    expect_kept(pair, memory, describe);
  });
}

TEST_CASE_TEMPLATE("forward_rows: two panels in one call", T, float, double) {
  for_two_panels<T>(22, [](const Pair<T>& pair, Index k, Index rows, int lanes, Operands<T>& memory, Dice& dice) {
    UserRows<T> x(dice, rows, k + 3);
    const Values<T> b = panel<T>(dice, 2, kLanes);
    Two<T> w(dice, k, lanes, false), z(dice, rows, lanes, true);
    const bool bias = dice.below(2);
    const T* const* px = x.place(Guard::behind);
    for (Index p = 0; p < 2; ++p) {
      pair.oracle.forward_rows(k, rows, lanes_of_panel(lanes, p), px, 3, w.oracle(p), bias ? b.data() + p * kLanes : nullptr,
                               z.oracle(p));
    }
    const T* pb = memory.in(b);
    const Panels<T> got = z.out(memory), pw = w.in(memory);
    pair.kernels.forward_rows(k, rows, lanes, px, 3, pw, bias ? pb : nullptr, got);
    const auto describe = [&] { return words("forward_rows of two panels, k, rows, lanes", k, rows, lanes); };
    z.expect(pair, got, lanes, describe);
    expect_kept(pair, memory, describe);
  });
}

TEST_CASE_TEMPLATE("forward_rows: one row over many panels", T, float, double) {
  Dice dice(25);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index k : reductions()) {
      for (int lanes = 1; lanes <= pair.kernels.row_group * static_cast<int>(kLanes);
           lanes += 1 + static_cast<int>(dice.below(3))) {
        UserRows<T> x(dice, 1, k + 2);
        const T* const* px = x.place(Guard::behind);
        const Index count = panels(lanes), jump = k + dice.below(3);
        const Values<T> w = panels_apart<T>(dice, k, lanes, jump * kLanes), b = panel<T>(dice, count, kLanes);
        const Values<T> z0 = dice.numbers<T>(count * kLanes);
        const bool bias = dice.below(2);
        Values<T> z = z0;
        for (Index p = 0; p < count; ++p) {
          pair.oracle.forward_rows(k, 1, std::min(static_cast<int>(kLanes), lanes - static_cast<int>(p * kLanes)), px, 2,
                                   {w.data() + p * jump * kLanes, jump}, bias ? b.data() + p * kLanes : nullptr,
                                   {z.data() + p * kLanes, 1});
        }
        for (const Guard guard : kGuards) {
          Operands<T>& memory = operands<T>(guard);
          const T *pw = memory.in(w), *pb = memory.in(b);
          T* got = memory.out(z0);
          pair.kernels.forward_rows(k, 1, lanes, px, 2, {pw, jump}, bias ? pb : nullptr, {got, 1});
          const auto describe = [&] { return words("forward_rows of one row, k, lanes, bias", k, lanes, bias); };
          for (Index p = 0; p < count; ++p) {
            const auto row = static_cast<std::ptrdiff_t>(p * kLanes);
            expect_panel(pair, got + row, Values<T>(z.begin() + row, z.begin() + row + kLanes),
                         std::min(static_cast<int>(kLanes), lanes - static_cast<int>(row)), describe);
          }
          expect_kept(pair, memory, describe);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("delta: two panels in one call", T, float, double) {
  for_two_panels<T>(23, [](const Pair<T>& pair, Index n, Index height, int lanes, Operands<T>& memory, Dice& dice) {
    const Index rows = height == 5 ? 37 : height, jump = rows + 1;
    const Values<T> w = panels_apart<T>(dice, rows, n, jump * kLanes);
    Two<T> d(dice, n, lanes, false), a(dice, rows, lanes, false), out(dice, rows, lanes, true);
    const bool first = dice.below(2), last = dice.below(2);
    const Activation f = kActivations[dice.below(kActivationCount)];
    for (Index p = 0; p < 2; ++p) {
      pair.oracle.delta(rows, n, lanes_of_panel(lanes, p), {w.data(), jump}, d.oracle(p), out.oracle(p), a.oracle(p), first,
                        last, f);
    }
    const T* pw = memory.in(w);
    const Panels<T> got = out.out(memory), pd = d.in(memory), pa = a.in(memory);
    pair.kernels.delta(rows, n, lanes, {pw, jump}, pd, got, pa, first, last, f);
    const auto describe = [&] { return words("delta of two panels, rows, n, lanes", rows, n, lanes); };
    out.expect(pair, got, lanes, describe);
    expect_kept(pair, memory, describe);
  });
}

TEST_CASE_TEMPLATE("dw and dw_rows: two panels in one call, with each kind of update", T, float, double) {
  const auto kinds = updates<T>();
  std::size_t turn = 0;
  for_two_panels<T>(24, [&](const Pair<T>& pair, Index m, Index height, int lanes, Operands<T>& memory, Dice& dice) {
    const Index rows = height == 5 ? 37 : height, jump = rows + 1;
    const Update<T>* update = kinds[turn++ % kinds.size()];
    const bool by_rows = turn % 3 == 0;
    const bool first = by_rows || dice.below(2), last = by_rows || dice.below(2);
    UserRows<T> x(dice, m, rows + 2);
    const Values<T> a = panels_apart<T>(dice, rows, m, jump * kLanes);
    Two<T> d(dice, m, lanes, false), w(dice, rows, lanes, true), g(dice, rows, lanes, true);
    Two<T> v = w;
    const T* const* px = x.place(Guard::behind);
    for (Index p = 0; p < 2; ++p) {
      if (by_rows) {
        pair.oracle.dw_rows(rows, m, lanes_of_panel(lanes, p), px, 2, d.oracle(p), g.oracle(p), w.oracle(p), v.oracle(p),
                            update);
      } else {
        pair.oracle.dw(rows, m, lanes_of_panel(lanes, p), {a.data(), jump}, d.oracle(p), g.oracle(p), first, last, w.oracle(p),
                       v.oracle(p), update);
      }
    }
    const bool moves = update && update->momentum != 0;
    const T* pa = memory.in(a);
    const Panels<T> pd = d.in(memory), got_g = g.out(memory), got_w = w.out(memory), got_v = v.out(memory);
    if (by_rows) {
      pair.kernels.dw_rows(rows, m, lanes, px, 2, pd, got_g, got_w, moves ? got_v : Panels<T>{}, update);
    } else {
      pair.kernels.dw(rows, m, lanes, {pa, jump}, pd, got_g, first, last, got_w, moves ? got_v : Panels<T>{}, update);
    }
    const auto describe = [&] {
      return words("dw of two panels, rows, m, lanes, by rows", rows, m, lanes, by_rows) + " " + describe_update(update);
    };
    w.expect(pair, got_w, lanes, describe);
    v.expect(pair, got_v, lanes, describe);
    if (!update || !last) g.expect(pair, got_g, lanes, describe);
    expect_kept(pair, memory, describe);
  });
}

TEST_CASE_TEMPLATE("db: four chains over the batch", T, float, double) {
  Dice dice(11);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Update<T>* update : updates<T>()) {
      for (const Index m : reductions()) {
        const Values<T> d = panel<T>(dice, m, kLanes);
        Step<T> step(dice, 1);
        pair.oracle.db(m, d.data(), step.g.data(), step.w.data(), step.v.data(), update);
        const auto describe = [&] { return words("db m", m) + " " + describe_update(update); };
        for (const Guard guard : kGuards) {
          Operands<T>& memory = operands<T>(guard);
          step.place(memory, update, !update);
          pair.kernels.db(m, memory.in(d), step.got_g, step.got_w, step.got_v, update);
          step.expect(pair, kLanes, describe);
          expect_kept(pair, memory, describe);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("update: a pass of its own", T, float, double) {
  Dice dice(12);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Update<T>* update : updates<T>()) {
      if (!update) continue;
      for (const Index lines : {0, 1, 2, 3, 4, 5, 7, 8, 9, 33}) {
        Step<T> step(dice, lines);
        pair.oracle.update(lines * kLanes, step.g.data(), step.w.data(), step.v.data(), update);
        const auto describe = [&] { return words("update lines", lines) + " " + describe_update(update); };
        for (const Guard guard : kGuards) {
          Operands<T>& memory = operands<T>(guard);
          step.place(memory, update, false);
          pair.kernels.update(lines * kLanes, memory.in(step.g0), step.got_w, step.got_v, update);
          step.expect(pair, kLanes, describe);
          expect_kept(pair, memory, describe);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("update: every rule, with all planes of its state and with few", T, float, double) {
  Dice dice(41);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Rule rule : {Rule::adam, Rule::rmsprop, Rule::adagrad, Rule::lion}) {
      for (int flags = 0; flags < 8; ++flags) {
        for (const Index lines : {1, 2, 5, 33}) {
          const Index count = lines * kLanes;
          Update<T> update{T(0.1), (flags & 1) != 0 ? T(0.9) : T(0), T(0.01), false};
          if ((flags & 2) != 0) update = every_term(update);
          update.rule = rule;
          update.beta1 = T(0.9);
          update.beta2 = T(0.99);
          update.eps = T(1e-3);
          update.correction = T(1.5);
          update.second = count;
          update.third = (flags & 4) != 0 ? 2 * count : 0;
          Values<T> g = dice.numbers<T>(count), w = dice.numbers<T>(count), s = dice.numbers<T>(3 * count);
          for (std::size_t i = 0; i < s.size(); ++i) {
            // squares have a root; the first plane of adam and lion has signs
            const bool mean = static_cast<Index>(i) < count && (rule == Rule::adam || rule == Rule::lion);
            s[i] = mean ? s[i] : std::fabs(s[i]);
          }
          for (Index i = 0; i < count; i += 7) g[static_cast<std::size_t>(i)] = 0;
          Values<T> want_w = w, want_s = s;
          pair.oracle.update(count, g.data(), want_w.data(), want_s.data(), &update);
          const auto describe = [&] { return words("update flags, lines", flags, lines) + " " + describe_update(&update); };
          for (const Guard guard : kGuards) {
            Operands<T>& memory = operands<T>(guard);
            T *got_w = memory.out(w), *got_s = memory.out(s);
            pair.kernels.update(count, memory.in(g), got_w, got_s, &update);
            expect_values(pair, got_w, want_w, describe);
            expect_values(pair, got_s, want_s, describe);
            expect_kept(pair, memory, describe);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("squares: sixteen chains, then pairs", T, float, double) {
  Dice dice(42);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index lines : {0, 1, 2, 3, 8, 9, 256}) {
      const Values<T> g = dice.numbers<T>(lines * kLanes);
      for (const Guard guard : kGuards) {
        Operands<T>& memory = operands<T>(guard);
        CHECK(same(pair.kernels.squares(lines * kLanes, memory.in(g)), pair.oracle.squares(lines * kLanes, g.data())));
        expect_kept(pair, memory, [&] { return words("squares lines", lines); });
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- moving data

TEST_CASE_TEMPLATE("transpose: every corner of a square", T, float, double) {
  Dice dice(13);
  for (const Pair<T>& pair : pairs<T>()) {
    for (Index rows = 1; rows <= kLanes; ++rows) {
      for (Index lanes = 1; lanes <= kLanes; ++lanes) {
        const Values<T> src = panel<T>(dice, rows, lanes), dst0 = dice.numbers<T>(kLanes * kLanes);
        Values<T> dst = dst0;
        pair.oracle.transpose(rows, lanes, src.data(), dst.data());
        dst.resize(static_cast<std::size_t>(lanes * kLanes));  // what the rows behind hold is left open
        const auto describe = [&] { return words("transpose rows, lanes", rows, lanes); };
        for (const Guard guard : kGuards) {
          Operands<T>& memory = operands<T>(guard);
          T* got = memory.out(dst0);
          pair.kernels.transpose(rows, lanes, memory.in(src), got);
          expect_panel(pair, got, dst, kLanes, describe);
          expect_kept(pair, memory, describe);
        }
      }
    }
  }
}

namespace {

template <class S>
S source_value(Dice& dice) {
  if constexpr (sizeof(S) == 1) {
    return static_cast<S>(dice.below(256));
  } else {
    return dice.number<S>() * S(1000);
  }
}

template <class S>
constexpr int kKind = static_cast<int>(source_kind<S>);

template <class T, class S>
void check_gather(const Pair<T>& pair, Index cols, int lanes, Dice& dice) {
  std::vector<std::vector<S>> rows(kLanes, std::vector<S>(static_cast<std::size_t>(cols)));
  std::vector<const void*> plain(kLanes);
  static Operand<const void*> list(kLanes);
  for (std::size_t i = 0; i < kLanes; ++i) {
    for (S& s : rows[i]) s = source_value<S>(dice);
    plain[i] = rows[i].data();
  }
  const Values<T> out0 = dice.numbers<T>(cols * kLanes);
  Values<T> out = out0;
  pair.oracle.gather[kKind<S>](cols, lanes, plain.data(), out.data());
  for (Index k = 0; k < cols; ++k) {
    for (int i = lanes; i < pair.written(lanes); ++i) out[static_cast<std::size_t>(k * kLanes + i)] = T(0);
  }
  const auto describe = [&] { return words("gather source, cols", kKind<S>, cols) + words(" lanes", lanes); };
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    T* got = memory.out(out0);
    std::vector<const void*> pointers(kLanes, list.forbidden());
    for (Index i = 0; i < lanes; ++i) {
      pointers[static_cast<std::size_t>(i)] =
          GuardedRows<S>::pool().place(i, rows[static_cast<std::size_t>(i)].data(), cols, guard);
    }
    pair.kernels.gather[kKind<S>](cols, lanes, list.place(pointers, guard), got);
    expect_panel(pair, got, out, pair.written(lanes), describe);
    expect_kept(pair, memory, describe);
  }
}

template <class T, class S>
void check_convert(const Pair<T>& pair, Index cols, Dice& dice) {
  std::vector<S> x(static_cast<std::size_t>(cols));
  for (S& s : x) s = source_value<S>(dice);
  if (cols > 2 && sizeof(S) > 1) {
    x[0] = std::numeric_limits<S>::denorm_min();
    x[1] = std::numeric_limits<S>::max();
  }
  const Values<T> out0 = dice.numbers<T>(cols);
  Values<T> out = out0;
  pair.oracle.convert[kKind<S>](cols, x.data(), out.data());
  const auto describe = [&] { return words("convert source, cols", kKind<S>, cols); };
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    T* got = memory.out(out0);
    pair.kernels.convert[kKind<S>](cols, GuardedRows<S>::pool().place(0, x.data(), cols, guard), got);
    expect_values(pair, got, out, describe);
    expect_kept(pair, memory, describe);
  }
}

template <class T, class S>
void check_finite(const Pair<T>& pair, Index count, Dice& dice) {
  const auto finite = pair.kernels.finite[kKind<S>];
  std::vector<S> x(static_cast<std::size_t>(count));
  for (S& s : x) s = source_value<S>(dice);
  const auto all_finite = [&](Guard guard) { return finite(count, GuardedRows<S>::pool().place(0, x.data(), count, guard)); };
  for (const Guard guard : kGuards) {
    if (!all_finite(guard)) FAIL(pair.name << ": finite said no to " << count << " finite values");
    if constexpr (sizeof(S) > 1) {
      for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL, 1e39}) {
        if (std::isfinite(static_cast<T>(static_cast<S>(bad)))) continue;
        for (S& place : x) {
          const S good = std::exchange(place, static_cast<S>(bad));
          if (all_finite(guard))
            FAIL(pair.name << ": finite missed " << bad << " at " << (&place - x.data()) << " of " << count);
          place = good;
        }
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("gather and convert: every source, every edge", T, float, double) {
  Dice dice(14);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index cols : sizes_to(65)) {
      check_convert<T, float>(pair, cols, dice);
      check_convert<T, double>(pair, cols, dice);
      check_convert<T, std::uint8_t>(pair, cols, dice);
      for (const Index lanes : sizes_to(kLanes)) {
        check_gather<T, float>(pair, cols, static_cast<int>(lanes), dice);
        check_gather<T, double>(pair, cols, static_cast<int>(lanes), dice);
        check_gather<T, std::uint8_t>(pair, cols, static_cast<int>(lanes), dice);
      }
    }
  }
}

TEST_CASE_TEMPLATE("finite: one bad value at each position", T, float, double) {
  Dice dice(15);
  for (const Pair<T>& pair : pairs<T>()) {
    for (Index count = 0; count <= 135; count += few_sizes() ? 7 : 1) {
      check_finite<T, float>(pair, count, dice);
      check_finite<T, double>(pair, count, dice);
      check_finite<T, std::uint8_t>(pair, count, dice);
    }
  }
}

// ---------------------------------------------------------------------------------------------- activations

namespace {

template <class T>
Values<T> awkward_values() {
  using Limits = std::numeric_limits<T>;
  Values<T> values;
  for (const T v : {T(0), Limits::denorm_min(), Limits::min(), Limits::epsilon(), T(0.25), T(1), T(15), T(87.5), T(89.5),
                    T(104.5), T(709.5), T(745.5), Limits::max(), infinity<T>()}) {
    values.push_back(v);
    values.push_back(-v);
  }
  values.push_back(nan<T>());
  return values;
}

// `call(kernels, d, a)` on both sides; d is written, a read.
template <class T, class Call, class Describe>
void check_elementwise(const Pair<T>& pair, const Values<T>& d0, const Values<T>& a, int lanes, Call call, Describe describe) {
  Values<T> d = d0;
  call(pair.oracle, d.data(), a.data());
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    T* got = memory.out(d0);
    call(pair.kernels, got, memory.in(a));
    expect_panel(pair, got, d, lanes, describe);
    expect_kept(pair, memory, describe);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("activate and derive: every activation, every shape, awkward values", T, float, double) {
  Dice dice(16);
  const Values<T> awkward = awkward_values<T>();
  std::vector<Activation> activations(std::begin(kActivations), std::end(kActivations));
  activations.push_back(Activation::softmax);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Activation f : activations) {
      for (const Index units : sizes_to(35)) {
        for (const Index size : sizes_to(kLanes)) {
          const int lanes = static_cast<int>(size);
          for (const bool plain : {true, false}) {
            Values<T> z = dice.numbers<T>(units * kLanes);
            for (T& v : z) v = plain ? v * T(4) : awkward[static_cast<std::size_t>(dice.below(count_of(awkward)))];
            const Values<T> d = dice.numbers<T>(units * kLanes), a = z;
            check_elementwise(
                pair, z, a, lanes, [&](const Kernels<T>& k, T* out, const T*) { k.activate(units, lanes, out, f); },
                [&] { return words("activate", f) + words(" units, lanes", units, lanes); });
            check_elementwise(
                pair, d, a, lanes, [&](const Kernels<T>& k, T* out, const T* y) { k.derive(units, lanes, out, y, f); },
                [&] { return words("derive", f) + words(" units, lanes", units, lanes); });
          }
        }
      }
    }
  }
}

// Not against the oracle, which might share the fault: each activation by what it means.
TEST_CASE_TEMPLATE("activate: a NaN passes through, infinities go where they belong", T, float, double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CAPTURE(pair.name);
    const T inf = infinity<T>();
    const auto of = [&](Activation f, T z) {
      alignas(64) T row[kLanes] = {z};
      pair.kernels.activate(1, 1, row, f);
      return row[0];
    };
    for (const Activation f : kActivations) {
      CAPTURE(text(f));
      CHECK(std::isnan(of(f, nan<T>())));
    }
    CHECK(of(Activation::identity, -inf) == -inf);
    CHECK(of(Activation::relu, inf) == inf);
    CHECK(of(Activation::relu, -inf) == T(0));
    CHECK(of(Activation::leaky_relu, inf) == inf);
    CHECK(of(Activation::leaky_relu, -inf) == -inf);
    CHECK(of(Activation::leaky_relu, T(-2)) == T(-2) * static_cast<T>(0.01));
    CHECK(of(Activation::tanh, inf) == T(1));
    CHECK(of(Activation::tanh, -inf) == T(-1));
    CHECK(of(Activation::sigmoid, inf) == T(1));
    CHECK(of(Activation::sigmoid, -inf) == T(0));
    CHECK(of(Activation::elu, -inf) == T(-1));
    CHECK(of(Activation::selu, -inf) == static_cast<T>(-kSeluScale * kSeluAlpha));
    CHECK(of(Activation::softsign, inf) == T(1));
    CHECK(of(Activation::softsign, -inf) == T(-1));
    for (const Activation f : {Activation::elu, Activation::selu, Activation::softplus, Activation::exponential,
                               Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::mish}) {
      CAPTURE(text(f));
      CHECK(of(f, inf) == inf);
      CHECK(of(f, -inf) <= T(0));
      CHECK(of(f, -inf) >= T(-2));
      CHECK(of(f, T(0)) == (f == Activation::softplus      ? static_cast<T>(0.69314718055994530942)
                            : f == Activation::exponential ? T(1)
                                                           : T(0)));
    }
    for (const Activation f : {Activation::softplus, Activation::exponential, Activation::gelu, Activation::gelu_tanh,
                               Activation::silu, Activation::mish}) {
      CAPTURE(text(f));
      CHECK(of(f, -inf) == T(0));
      CHECK(of(f, -std::numeric_limits<T>::max()) == T(0));
    }
    // what f' is at either end: nothing that is not a number
    const auto slope = [&](Activation f, T z) {
      alignas(64) T d[kLanes] = {T(1)}, from[kLanes] = {derived_from_z(f) ? z : of(f, z)};
      pair.kernels.derive(1, 1, d, from, f);
      return d[0];
    };
    for (const Activation f :
         {Activation::elu, Activation::softplus, Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::mish}) {
      CAPTURE(text(f));
      for (const T far : {inf, std::numeric_limits<T>::max(), T(1000)}) {
        CHECK(slope(f, far) == T(1));
        CHECK(slope(f, -far) == T(0));
      }
      if (derived_from_z(f)) CHECK(std::isnan(slope(f, nan<T>())));
    }
    CHECK(slope(Activation::softsign, inf) == T(0));
    CHECK(slope(Activation::selu, inf) == static_cast<T>(kSeluScale));

    for (Index units = 1; units <= 5; ++units) {
      for (Index bad = 0; bad < units; ++bad) {
        alignas(64) T a[5 * kLanes] = {};
        a[bad * kLanes + 1] = nan<T>();
        pair.kernels.activate(units, 3, a, Activation::softmax);
        for (Index j = 0; j < units; ++j) {
          CHECK(a[j * kLanes] == T(1) / static_cast<T>(units));
          CHECK(std::isnan(a[j * kLanes + 1]));
          CHECK(a[j * kLanes + 2] == T(1) / static_cast<T>(units));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("derive: a NaN among gradients or activations is not lost", T, float, double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CAPTURE(pair.name);
    for (const Activation f : kActivations) {
      CAPTURE(text(f));
      alignas(64) T d[kLanes] = {nan<T>(), T(2), nan<T>()}, a[kLanes] = {T(0.5), T(0.5), T(0.25)};
      pair.kernels.derive(1, 3, d, a, f);
      CHECK(std::isnan(d[0]));
      CHECK_FALSE(std::isnan(d[1]));
      CHECK(std::isnan(d[2]));
    }
  }
}

// ---------------------------------------------------------------------------------------------- losses

namespace {

template <class T>
struct LossCase {
  Loss loss;
  Activation activation;
  Index units;
  int lanes;
  bool labels, want_delta;
  Values<T> a, target, z, weights;
  std::vector<std::int32_t> label;
  T scale = T(1) / T(7), parameter;
  bool weighted;

  LossCase(Loss loss_, Activation activation_, Index units_, int lanes_, bool labels_, bool want_delta_, Dice& dice,
           T parameter_ = T(0), bool weighted_ = false)
      : loss(loss_),
        activation(activation_),
        units(units_),
        lanes(lanes_),
        labels(labels_),
        want_delta(want_delta_),
        a(panel<T>(dice, units_, lanes_)),
        target(panel<T>(dice, units_, lanes_)),
        z(panel<T>(dice, units_, lanes_)),
        weights(dice.numbers<T>(kLanes)),
        label(kLanes, 0),
        parameter(parameter_),
        weighted(weighted_) {
    for (T& v : a) v *= T(5);
    for (T& v : z) v *= T(3);
    for (T& v : weights) v = v < T(-0.5) ? T(0) : v + T(1);
    // ties and zeros: the first of two largest logits, and what a logit of 0 says
    if (units > 1) a[static_cast<std::size_t>((units - 1) * kLanes)] = a[0];
    if (lanes > 1) a[1] = T(0);
    if (lanes > 2 && units > 1) a[2] = a[kLanes + 2] = T(7);
    const bool any =
        loss == Loss::mse || loss == Loss::quadratic || loss == Loss::mae || loss == Loss::huber || loss == Loss::quantile;
    if (activation == Activation::softmax) Oracle<Scalar<T>>::activate(units, lanes, a.data(), activation);
    for (T& v : target) v = any ? v : (v + T(1)) / T(2);
    for (int i = 0; i < lanes; ++i) {
      label[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(dice.below(units));
      if (loss == Loss::cross_entropy || loss == Loss::focal) {  // rows of probabilities
        T sum = 0;
        for (Index j = 0; j < units; ++j) sum += target[static_cast<std::size_t>(j * kLanes + i)];
        for (Index j = 0; j < units; ++j) target[static_cast<std::size_t>(j * kLanes + i)] /= sum;
      } else if (loss == Loss::binary_cross_entropy && i % 2) {
        for (Index j = 0; j < units; ++j) target[static_cast<std::size_t>(j * kLanes + i)] = T(dice.below(2));
      } else if (loss == Loss::hinge || loss == Loss::poisson) {
        for (Index j = 0; j < units; ++j) {
          const T number = T(dice.below(2)) * T(2) - T(i % 2);  // -1, 1; 0, 2
          target[static_cast<std::size_t>(j * kLanes + i)] = loss == Loss::poisson ? std::fabs(number) : number;
        }
      }
    }
  }

  std::string describe() const {
    return words("loss", loss, activation) +
           words(" units, lanes, labels, delta, weighted", units, lanes, labels, want_delta, weighted);
  }
  LossArgs<T> args(const T* pa, const T* pt, const std::int32_t* pl, T* delta, T* loss_rows, T* metric_rows, const T* z_at,
                   const T* weights_at) const {
    if (!derived_from_z(activation)) z_at = nullptr;
    if (!weighted) weights_at = nullptr;
    return {loss,
            activation,
            units,
            lanes,
            pa,
            labels ? nullptr : pt,
            labels ? pl : nullptr,
            scale,
            want_delta ? delta : nullptr,
            loss_rows,
            metric_rows,
            parameter,
            z_at,
            weights_at};
  }
};

// f' by its formula, from a or from z.
template <class T>
long double slope_of(Activation f, long double a, long double z) {
  const long double s = 1 / (1 + std::exp(-z)), c = std::sqrt(2 / std::acos(-1.0L));
  const long double u = std::tanh(c * (z + 0.044715L * z * z * z)), w = std::tanh(std::log1p(std::exp(z)));
  switch (f) {
    case Activation::relu:
      return a > 0 ? 1 : 0;
    case Activation::leaky_relu:
      return a > 0 ? 1 : static_cast<long double>(static_cast<T>(kLeakySlope));
    case Activation::tanh:
      return 1 - a * a;
    case Activation::sigmoid:
      return a * (1 - a);
    case Activation::elu:
      return a > 0 ? 1 : a + 1;
    case Activation::selu:
      return static_cast<long double>(kSeluScale) * (a > 0 ? 1 : a / kSeluScale + kSeluAlpha);
    case Activation::softplus:
      return 1 - std::exp(-a);
    case Activation::softsign:
      return (1 - std::fabs(a)) * (1 - std::fabs(a));
    case Activation::exponential:
      return a;
    case Activation::gelu:
      return std::erfc(-z / std::sqrt(2.0L)) / 2 + z * std::exp(-z * z / 2) * c / 2;
    case Activation::gelu_tanh:
      return (1 + u) / 2 + z * (1 - u * u) * c * (1 + 3 * 0.044715L * z * z) / 2;
    case Activation::silu:
      return s + z * s * (1 - s);
    case Activation::mish:
      return w + z * (1 - w * w) * s;
    default:
      return 1;
  }
}

// Loss of one row, and the gradient of loss * scale with respect to each z, by the formula.
template <class T>
struct Exact {
  long double loss = 0, metric = 0;
  std::vector<long double> delta;

  Exact(const LossCase<T>& c, Index lane) : delta(static_cast<std::size_t>(c.units)) {
    const auto at = [&](Index j) { return static_cast<std::size_t>(j * kLanes + lane); };
    const auto target = [&](Index j) -> long double {
      return c.labels ? (j == c.label[static_cast<std::size_t>(lane)] ? 1.0L : 0.0L)
                      : static_cast<long double>(c.target[at(j)]);
    };
    const long double n = static_cast<long double>(c.units);
    long double sum = 0, dot = 0, mass = 0, focus = 0;  // focus: the sum over the terms of focal, see there
    Index guess = 0, answer = 0;
    for (Index j = 0; j < c.units; ++j) {
      sum += std::exp(static_cast<long double>(c.a[at(j)]));
      mass += target(j);
      if (c.a[at(j)] > c.a[at(guess)]) guess = j;
      if (target(j) > target(answer)) answer = j;
    }
    // of focal: t_i d(-(1 - p_i)^g log p_i) / dp_i * p_i, where dp_i / dz_j = p_i ((i == j) - p_j)
    const auto focal_slope = [&](Index i) {
      const long double p = std::exp(static_cast<long double>(c.a[at(i)])) / sum, g = c.parameter;
      return c.scale * target(i) * (g * std::pow(1 - p, g - 1) * std::log(p) * p - std::pow(1 - p, g));
    };
    for (Index i = 0; c.loss == Loss::focal && c.units > 1 && i < c.units; ++i) focus += focal_slope(i);
    for (Index j = 0; j < c.units; ++j) {
      const long double a = c.a[at(j)], t = target(j);
      long double& d = delta[static_cast<std::size_t>(j)];
      switch (c.loss) {
        case Loss::mse:
        case Loss::quadratic: {
          const long double share = c.loss == Loss::mse ? 1 / n : 0.5L;
          loss += share * (a - t) * (a - t);
          d = 2 * share * (a - t) * c.scale;
          break;
        }
        case Loss::mae:
          loss += std::fabs(a - t) / n;
          d = (a > t ? 1 : a < t ? -1 : 0) / n * c.scale;
          break;
        case Loss::huber:
          loss +=
              (std::fabs(a - t) <= c.parameter ? (a - t) * (a - t) / 2 : c.parameter * (std::fabs(a - t) - c.parameter / 2)) /
              n;
          d = std::min<long double>(c.parameter, std::max<long double>(-c.parameter, a - t)) / n * c.scale;
          break;
        case Loss::quantile:
          loss += std::max(c.parameter * (t - a), (c.parameter - 1) * (t - a)) / n;
          d = (t > a   ? -static_cast<long double>(c.parameter)
               : a > t ? 1 - static_cast<long double>(c.parameter)
                       : 0) /
              n * c.scale;
          break;
        case Loss::poisson:
          loss += (std::exp(a) - t * a) / n;
          d = (std::exp(a) - t) / n * c.scale;
          break;
        case Loss::hinge:
          if (c.labels) {
            const long double mine = c.a[at(c.label[static_cast<std::size_t>(lane)])];
            const bool over = t == 0 && 1 - mine + a > 0;
            loss += over ? (1 - mine + a) / n : 0;
            d += over ? c.scale / n : 0;
            delta[static_cast<std::size_t>(c.label[static_cast<std::size_t>(lane)])] -= over ? c.scale / n : 0;
          } else {
            const long double s = t > 0 ? 1 : -1;
            loss += std::max(0.0L, 1 - s * a) / n;
            d = (s * a < 1 ? -s : 0) / n * c.scale;
          }
          break;
        case Loss::focal: {
          const long double p = std::exp(a) / sum;
          loss -= t * std::pow(1 - p, static_cast<long double>(c.parameter)) * std::log(p);
          if (c.units > 1) d = focal_slope(j) - focus * p;
          break;
        }
        case Loss::cross_entropy: {
          const long double soft = (1 - static_cast<long double>(c.parameter)) * t + c.parameter / n;
          loss += soft * (std::log(sum) - a);
          d = (((1 - static_cast<long double>(c.parameter)) * mass + c.parameter) * std::exp(a) / sum - soft) * c.scale;
          break;
        }
        case Loss::binary_cross_entropy:
          loss += ((a > 0 ? a : 0) - a * t + std::log1p(std::exp(-std::fabs(a)))) / n;
          metric += (a > 0) == (t > 0.5L) ? 1 : 0;
          d = (1 / (1 + std::exp(-a)) - t) / n * c.scale;
          break;
      }
    }
    if (c.labels || c.loss == Loss::cross_entropy || c.loss == Loss::focal) metric = guess == answer ? 1 : 0;
    for (Index j = 0; j < c.units; ++j) {
      const long double a = c.a[at(j)], t = target(j);
      const auto numbers = {Loss::mse, Loss::quadratic, Loss::mae, Loss::huber, Loss::quantile};
      if (std::find(numbers.begin(), numbers.end(), c.loss) != numbers.end()) metric += std::fabs(a - t);
      if (c.loss == Loss::poisson) metric += std::fabs(std::exp(a) - t);
      if (c.loss == Loss::hinge && !c.labels) metric += (a > 0) == (t > 0) ? 1 : 0;
      dot += delta[static_cast<std::size_t>(j)] * a;
    }
    for (Index j = 0; j < c.units; ++j) {
      long double& d = delta[static_cast<std::size_t>(j)];
      const long double a = c.a[at(j)];
      d = c.activation == Activation::softmax ? a * (d - dot) : d * slope_of<T>(c.activation, a, c.z[at(j)]);
      if (c.weighted) d *= c.weights[static_cast<std::size_t>(lane)];
    }
  }
};

template <class T>
void check_loss(const Pair<T>& pair, const LossCase<T>& c, Dice& dice) {
  const Values<T> delta0 = dice.numbers<T>(c.units * kLanes), row0 = dice.numbers<T>(kLanes);
  Values<T> delta = delta0, loss_rows = row0, metric_rows = row0;
  pair.oracle.loss(c.args(c.a.data(), c.target.data(), c.label.data(), delta.data(), loss_rows.data(), metric_rows.data(),
                          c.z.data(), c.weights.data()));
  const auto describe = [&] { return c.describe(); };
  static Operand<std::int32_t> label_memory(kLanes);
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    const T *pa = memory.in(c.a), *pt = memory.in(c.target), *pz = memory.in(c.z), *pw = memory.in(c.weights);
    T *got_delta = memory.out(delta0), *got_loss = memory.out(row0), *got_metric = memory.out(row0);
    pair.kernels.loss(c.args(pa, pt, label_memory.place(c.label, guard), got_delta, got_loss, got_metric, pz, pw));
    expect_panel(pair, got_delta, delta, c.lanes, describe);
    expect_panel(pair, got_loss, loss_rows, c.lanes, describe);
    expect_panel(pair, got_metric, metric_rows, c.lanes, describe);
    expect_kept(pair, memory, describe);
  }
  // sums of `units` terms, each with a few roundings, of the size of the largest number that goes in
  const long double bound =
      static_cast<long double>(std::numeric_limits<T>::epsilon()) * static_cast<long double>(8 + 2 * c.units);
  for (Index lane = 0; pair.first && lane < c.lanes; ++lane) {
    const Exact<T> exact(c, lane);
    const auto i = static_cast<std::size_t>(lane);
    CHECK(std::fabs(loss_rows[i] - exact.loss) <= bound * std::max(6.0L, exact.loss));
    CHECK(std::fabs(metric_rows[i] - exact.metric) <= bound * std::max(1.0L, exact.metric));
    for (Index j = 0; c.want_delta && j < c.units; ++j) {
      const long double d = exact.delta[static_cast<std::size_t>(j)];
      if (std::fabs(delta[static_cast<std::size_t>(j * kLanes + lane)] - d) > bound * std::max(1.0L, std::fabs(d))) {
        FAIL(pair.name << ": " << c.describe() << ": delta of unit " << j << " is "
                       << delta[static_cast<std::size_t>(j * kLanes + lane)] << ", by the formula " << static_cast<double>(d));
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("loss: bits of the oracle, and the formula", T, float, double) {
  Dice dice(17);
  std::vector<Activation> activations(std::begin(kActivations), std::end(kActivations));
  activations.push_back(Activation::softmax);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index units : sizes_to(20)) {
      for (const Index size : sizes_to(kLanes)) {
        const int lanes = static_cast<int>(size);
        for (const bool want_delta : {true, false}) {
          for (const Loss loss : {Loss::mse, Loss::quadratic}) {
            for (const Activation f : activations) check_loss<T>(pair, {loss, f, units, lanes, false, want_delta, dice}, dice);
          }
          for (const bool labels : {true, false}) {
            check_loss<T>(pair, {Loss::cross_entropy, Activation::identity, units, lanes, labels, want_delta, dice}, dice);
          }
          check_loss<T>(pair, {Loss::binary_cross_entropy, Activation::identity, units, lanes, false, want_delta, dice}, dice);
          for (const bool weighted : {false, true}) {
            const auto check = [&](Loss loss, Activation f, bool labels, T parameter) {
              check_loss<T>(pair, {loss, f, units, lanes, labels, want_delta, dice, parameter, weighted}, dice);
            };
            const Activation f = activations[static_cast<std::size_t>(dice.below(kActivationCount + 1))];
            check(Loss::mse, f, false, T(0));
            check(Loss::mae, f, false, T(0));
            for (const T d : {T(0.5), T(1), T(3)}) check(Loss::huber, f, false, d);
            for (const T q : {T(0.125), T(0.5), T(0.9)}) check(Loss::quantile, f, false, q);
            check(Loss::poisson, Activation::identity, false, T(0));
            check(Loss::hinge, dice.below(2) ? Activation::identity : f, false, T(0));
            check(Loss::hinge, dice.below(2) ? Activation::identity : f, true, T(0));
            for (const bool labels : {true, false}) {
              for (const T gamma : {T(0), T(0.5), T(1), T(2), T(5)}) check(Loss::focal, Activation::identity, labels, gamma);
              for (const T s : {T(0.1), T(0.5)}) check(Loss::cross_entropy, Activation::identity, labels, s);
            }
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("loss: far logits stay finite, NaN and infinity do not pass for a loss", T, float, double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CAPTURE(pair.name);
    alignas(64) T a[2 * kLanes] = {}, target[2 * kLanes] = {}, delta[2 * kLanes] = {}, loss[kLanes] = {}, metric[kLanes] = {};
    std::int32_t labels[kLanes] = {0, 1, 0, 0, 0};
    const T far = T(1e30);
    const T logits[5][2] = {{far, -far}, {far, -far}, {T(800), T(-800)}, {nan<T>(), 0}, {T(1), nan<T>()}};
    for (Index i = 0; i < 5; ++i) {
      a[i] = logits[i][0];
      a[kLanes + i] = logits[i][1];
      target[i] = 1;
    }
    LossArgs<T> args{Loss::cross_entropy, Activation::identity, 2, 5, a, target, labels, T(1), delta, loss, metric};
    pair.kernels.loss(args);
    CHECK(loss[0] == T(0));
    CHECK(loss[1] == 2 * far);
    CHECK(loss[2] == T(0));
    CHECK(std::isnan(loss[3]));
    CHECK(std::isnan(loss[4]));
    CHECK(delta[0] == T(0));
    CHECK(delta[1] == T(1));
    CHECK(delta[kLanes + 1] == T(-1));
    CHECK(std::isnan(delta[3]));
    CHECK(std::isnan(delta[4]));

    args.loss = Loss::binary_cross_entropy;
    args.labels = nullptr;
    pair.kernels.loss(args);
    CHECK(loss[0] == T(0));
    CHECK(loss[2] == T(0));
    CHECK(std::isnan(loss[3]));
    CHECK(std::isnan(loss[4]));
    CHECK(std::isnan(delta[3]));
    CHECK(std::isnan(delta[kLanes + 4]));
    CHECK(delta[0] == T(0));
    CHECK(delta[kLanes] == T(0));

    for (const Loss squared : {Loss::mse, Loss::quadratic}) {
      args.loss = squared;
      pair.kernels.loss(args);
      CHECK(loss[2] == (T(799) * T(799) + T(640000)) / T(2));
      CHECK(std::isnan(loss[3]));
      CHECK(std::isnan(loss[4]));
    }
  }
}

// ---------------------------------------------------------------------------------------------- small networks

namespace {

// A small network's operands, to be placed once for the oracle and once, between guard pages, for the kernels.
template <class T>
struct SmallNetwork {
  std::vector<Index> sizes, gaps;  // gaps: rows between the panels of a layer's weights
  std::vector<Activation> activations;
  int lanes;
  Values<T> parameters, velocity, x, last_delta;
  std::vector<Values<T>> a, delta, delta_t, z;

  SmallNetwork(Dice& dice, const std::vector<Index>& sizes_, int lanes_) : sizes(sizes_), lanes(lanes_) {
    x = panel<T>(dice, sizes[0], lanes);
    for (std::size_t l = 0; l < depth(); ++l) {
      const Index fan_out = sizes[l + 1], count = panels(fan_out);
      gaps.push_back(dice.below(3));
      const bool last = l + 1 == depth();
      const Activation f = kActivations[dice.below(kActivationCount)];
      // exp of exp would leave infinities, which the padding of the weights is not made for
      activations.push_back(last && dice.below(4) == 0     ? Activation::softmax
                            : f == Activation::exponential ? Activation::tanh
                                                           : f);
      for (Values<T>* values : {&parameters, &velocity}) append_layer(dice, *values, l);
      a.push_back(dice.numbers<T>(fan_out * kLanes));
      z.push_back(dice.numbers<T>(fan_out * kLanes));
      delta.push_back(last ? panel<T>(dice, fan_out, lanes) : dice.numbers<T>(fan_out * kLanes));
      delta_t.push_back(dice.numbers<T>(count * kLanes * kLanes));
    }
  }
  std::size_t depth() const { return sizes.size() - 1; }

  // out(values): where they lie.
  template <class Out>
  std::vector<SmallLayer<T>> layers(T* at, const T* inputs, Out out) {
    std::vector<SmallLayer<T>> list;
    for (std::size_t l = 0; l < depth(); ++l) {
      const Index rows = sizes[l] + gaps[l], count = panels(sizes[l + 1]);
      SmallLayer<T> layer{sizes[l],  sizes[l + 1],  activations[l],           {at, rows}, at + count * rows * kLanes, inputs,
                          out(a[l]), out(delta[l]), {out(delta_t[l]), kLanes}};
      if (derived_from_z(activations[l])) layer.z = out(z[l]);
      at = layer.b + count * kLanes;
      inputs = layer.a;
      list.push_back(layer);
    }
    return list;
  }

 private:
  // Zero past the units, as the layout wants it; gaps that are not to be touched.
  void append_layer(Dice& dice, Values<T>& to, std::size_t l) {
    const Index count = panels(sizes[l + 1]), rows = sizes[l] + gaps[l];
    for (Index p = 0; p < count; ++p) {
      for (Index r = 0; r < rows; ++r) append_row(dice, to, r < sizes[l] ? sizes[l + 1] - p * kLanes : -1);
    }
    for (Index p = 0; p < count; ++p) append_row(dice, to, sizes[l + 1] - p * kLanes);
  }
  static void append_row(Dice& dice, Values<T>& to, Index units) {
    for (Index i = 0; i < kLanes; ++i) to.push_back(units < 0 ? nan<T>() : i < units ? dice.number<T>() : T(0));
  }
};

// What write(calls, lanes) writes, which is as long as it says without a place, and no longer than for all lanes.
template <class T, class Write>
void run_calls(Write write, int lanes) {
  const Index count = write(nullptr, lanes);
  CHECK(count <= write(nullptr, static_cast<int>(kLanes)));
  std::vector<SmallCall<T>> calls(static_cast<std::size_t>(count));
  CHECK(write(calls.data(), lanes) == count);
  for (const SmallCall<T>& call : calls) call.run(call);
}

template <class T>
void check_small(const Pair<T>& pair, const std::vector<Index>& sizes, int lanes, const Update<T>* update, Dice& dice) {
  SmallNetwork<T> network(dice, sizes, lanes);
  const Index depth = static_cast<Index>(network.depth());
  for (const Guard guard : kGuards) {
    SmallNetwork<T> want = network;
    const auto own = [](Values<T>& values) { return values.data(); };
    const std::vector<SmallLayer<T>> oracle = want.layers(want.parameters.data(), want.x.data(), own);
    Operands<T>& memory = operands<T>(guard);
    T* parameters = memory.out(network.parameters);
    T* velocity = !update || update->momentum != 0 ? memory.out(network.velocity) : nullptr;
    const T* x = memory.in(network.x);
    const auto guarded = [&](Values<T>& values) { return memory.out(values); };
    const std::vector<SmallLayer<T>> layers = network.layers(parameters, x, guarded);

    const Kernels<T>& kernels = pair.kernels;
    pair.oracle.small_forward(depth, oracle.data(), lanes, nullptr);
    run_calls<T>([&](SmallCall<T>* calls, int m) { return kernels.small_forward(depth, layers.data(), m, calls); }, lanes);
    pair.oracle.small_backward(depth, oracle.data(), lanes, nullptr);
    run_calls<T>([&](SmallCall<T>* calls, int m) { return kernels.small_backward(depth, layers.data(), m, calls); }, lanes);
    for (std::size_t l = 0; l < network.depth(); ++l) {
      const auto describe = [&](const char* what) {
        return [&, what] { return words(what, static_cast<Index>(l), depth, sizes[l], sizes[l + 1], network.activations[l]); };
      };
      expect_panel(pair, layers[l].a, want.a[l], lanes, describe("small layer, depth, fan_in, fan_out, activation: a"));
      expect_panel(pair, layers[l].delta, want.delta[l], lanes, describe("small layer, ...: delta"));
      if (layers[l].z) expect_panel(pair, layers[l].z, want.z[l], lanes, describe("small layer, ...: z"));
      for (Index p = 0; p < panels(sizes[l + 1]); ++p) {
        const auto rows = want.delta_t[l].begin() + p * kLanes * kLanes;
        expect_values(pair, layers[l].delta_t.panel(p), Values<T>(rows, rows + lanes * kLanes),
                      describe("small layer, ...: delta_t"));
      }
    }
    pair.oracle.small_update(depth, oracle.data(), lanes, want.parameters.data(), velocity ? want.velocity.data() : nullptr,
                             update, nullptr);
    const auto write_update = [&](SmallCall<T>* calls, int m) {
      return kernels.small_update(depth, layers.data(), m, parameters, velocity, update, calls);
    };
    run_calls<T>(write_update, lanes);
    const auto describe = [&] { return words("small update, depth, lanes", depth, lanes) + " " + describe_update(update); };
    expect_values(pair, parameters, want.parameters, describe);
    if (velocity) expect_values(pair, velocity, want.velocity, describe);
    expect_kept(pair, memory, describe);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("small networks: whole passes have the bits of single layers", T, float, double) {
  Dice dice(31);
  const std::vector<const Update<T>*> kinds = updates<T>();  // without one the gradients are stored
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index lanes : sizes_to(kLanes)) {
      for (const Index fan_in : sizes_to(33)) {
        for (const Index fan_out : {1, 2, 3, 7, 8, 15, 16, 17, 33, 64}) {
          std::vector<Index> sizes = {fan_in, fan_out};
          for (Index more = dice.below(3); more > 0; --more) sizes.push_back(1 + dice.below(40));
          check_small<T>(pair, sizes, static_cast<int>(lanes),
                         kinds[static_cast<std::size_t>(dice.below(static_cast<Index>(kinds.size())))], dice);
        }
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------- tables among themselves

// Follows from the oracle; here without it, between the very functions.
TEST_CASE_TEMPLATE("tables with fused multiply-add agree with each other", T, float, double) {
  Dice dice(18);
  const auto kinds = updates<T>();
  for (const KernelTable* one : tested_tables()) {
    for (const KernelTable* other : tested_tables()) {
      if (one == other || !one->fused || !other->fused) continue;
      Pair<T> pair = pair_of<T>(*one, kernels_of<T>(*other));
      pair.width = std::max(pair.width, pair_of<T>(*other, pair.kernels).width);  // either may write its own vectors
      for (int turn = 0; turn < (few_sizes() ? 50 : 500); ++turn) {
        const Index k = 1 + dice.below(200), rows = 1 + dice.below(16);
        const int lanes = static_cast<int>(1 + dice.below(16));
        const Activation f = kActivations[turn % kActivationCount];
        check_forward(pair, {k, rows, lanes, true, true, false, f}, dice);
        check_delta(pair, {rows, k, lanes, 1, true, true, f}, dice);
        check_dw<T>(pair, rows, k, lanes, true, true, kinds[static_cast<std::size_t>(turn) % kinds.size()], dice);
        check_loss<T>(pair, {Loss::cross_entropy, Activation::identity, rows, lanes, true, true, dice}, dice);
        check_loss<T>(pair, {Loss::binary_cross_entropy, Activation::identity, rows, lanes, false, true, dice}, dice);
      }
    }
  }
}

TEST_CASE_TEMPLATE("mr, group and row_group fit the blocks on the stack of dense.cpp; width is what is written", T, float,
                   double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CHECK(pair.kernels.width == pair.width);
    CHECK(pair.kernels.mr >= 1);
    CHECK(pair.kernels.mr <= 16);
    CHECK(pair.kernels.group >= 1);
    CHECK(pair.kernels.group <= 2);
    CHECK(pair.kernels.row_group >= pair.kernels.group);
    CHECK(pair.kernels.row_group <= 8);
  }
}
