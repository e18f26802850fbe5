// The products of narrow networks, the chains of db and the copies of rows, on every table against the oracle, to the last
// bit, with each operand at a guard page. What whole networks make of them is tested in network/narrow.cpp.
#include "support/blocks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// Lanes past the real ones of vectors that are written must be 0; behind these vectors nothing may change.
template <class T>
void expect_zeros_behind(const Pair<T>& pair, const T* got, Index rows, int lanes, Description describe) {
  for (Index r = 0; r < rows; ++r) {
    for (int i = lanes; i < pair.written(lanes); ++i) {
      if (!same(got[r * kLanes + i], T(0)))
        FAIL(pair.name << ": " << describe() << ": row " << r << " lane " << i << " is not 0");
    }
  }
}

std::vector<Index> stretches() {
  return few_sizes() ? std::vector<Index>{1, 7, 16, 37} : std::vector<Index>{1, 2, 3, 5, 6, 7, 11, 12, 13, 16, 19, 37};
}

template <class T>
struct ProductCase {
  Index k, rows;
  int lanes;
  bool bias, keep_z;
  Activation activation;
  std::string describe() const {
    return words("narrow k, rows, lanes", k, rows, lanes) + words(" forward, z, activation", bias, keep_z, activation);
  }

  void check(const Pair<T>& pair, Dice& dice) const {
    const Index gap = rows + k % 3;
    const Values<T> x = panels_apart<T>(dice, rows, k, gap * kLanes), w = panel<T>(dice, k, lanes);
    const Values<T> b = panel<T>(dice, 1, kLanes), out0 = dice.numbers<T>(rows * kLanes), z0 = dice.numbers<T>(rows * kLanes);
    Values<T> a = panel<T>(dice, rows, lanes), out = out0, z = z0;
    a[0] = nan<T>();
    if (rows > 1) a[kLanes] = T(0);
    const bool reads_a = activation != Activation::identity;
    if (bias) {
      pair.oracle.narrow_forward(k, rows, lanes, {x.data(), gap}, one(w.data()), b.data(), one(out.data()),
                                 one(keep_z ? z.data() : nullptr), activation);
    } else {
      pair.oracle.narrow_delta(k, rows, lanes, {x.data(), gap}, one(w.data()), one(out.data()), one(a.data()), activation);
    }
    for (const Guard guard : kGuards) {
      Operands<T>& memory = operands<T>(guard);
      const T *px = memory.in(x), *pw = memory.in(w), *pb = memory.in(b), *pa = memory.in(a);
      T *got = memory.out(out0), *got_z = memory.out(z0);
      if (bias) {
        pair.kernels.narrow_forward(k, rows, lanes, {px, gap}, one(pw), pb, one(got), one(keep_z ? got_z : nullptr),
                                    activation);
      } else {
        pair.kernels.narrow_delta(k, rows, lanes, {px, gap}, one(pw), one(got), one(reads_a ? pa : nullptr), activation);
      }
      const auto words_of = [&] { return describe(); };
      expect_panel(pair, got, out, lanes, words_of);
      expect_panel(pair, got_z, z, lanes, words_of);
      expect_kept(pair, memory, words_of);
    }
  }
};

}  // namespace

TEST_CASE_TEMPLATE("narrow: forward and delta of every shape", T, float, double) {
  Dice dice(31);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index k : sizes_to(65)) {
      for (const Index rows : stretches()) {
        for (const Index lanes : sizes_to(kLanes)) {
          for (const bool bias : {false, true}) {
            ProductCase<T>{k,    rows,  static_cast<int>(lanes),
                           bias, false, (k + rows) % 2 ? Activation::identity : Activation::relu}
                .check(pair, dice);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("narrow: forward and delta with every activation", T, float, double) {
  Dice dice(32);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Activation f : kEveryActivation) {
      for (const Index rows : stretches()) {
        for (const Index lanes : sizes_to(kLanes)) {
          for (int flags = 0; flags < 4; ++flags) {
            const bool bias = flags & 1, keep_z = flags & 2;
            if (keep_z && !bias) continue;
            const Index k = 1 + dice.below(20);
            ProductCase<T>{k, rows, static_cast<int>(lanes), bias, keep_z, f}.check(pair, dice);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("narrow: two panels in one call", T, float, double) {
  for_two_panels<T>(33, [](const Pair<T>& pair, Index k, Index rows, int lanes, Operands<T>& memory, Dice& dice) {
    const Values<T> x = panels_apart<T>(dice, rows, k, (rows + 1) * kLanes), b = dice.numbers<T>(2 * kLanes);
    Two<T> w(dice, k, lanes, false), a(dice, rows, lanes, true), d(dice, rows, lanes, true);
    const Activation f = kEveryActivation[dice.below(kActivationCount)];
    const T *px = memory.in(x), *pb = memory.in(b);
    const Panels<T> pw = w.in(memory), got_a = a.out(memory);
    const auto describe = [&] { return words("narrow products of two panels, k, rows, lanes", k, rows, lanes); };
    for (Index p = 0; p < 2; ++p) {
      pair.oracle.narrow_forward(k, rows, lanes_of_panel(lanes, p), {x.data(), rows + 1}, w.oracle(p), b.data() + p * kLanes,
                                 a.oracle(p), {}, f);
    }
    pair.kernels.narrow_forward(k, rows, lanes, {px, rows + 1}, pw, pb, got_a, {}, f);
    a.expect(pair, got_a, lanes, describe);
    for (Index p = 0; p < 2; ++p) {
      pair.oracle.narrow_delta(k, rows, lanes_of_panel(lanes, p), {x.data(), rows + 1}, w.oracle(p), d.oracle(p), a.oracle(p),
                               f);
    }
    const Panels<T> got_d = d.out(memory);
    pair.kernels.narrow_delta(k, rows, lanes, {px, rows + 1}, pw, got_d, got_a, f);
    d.expect(pair, got_d, lanes, describe);
    expect_kept(pair, memory, describe);
  });
}

TEST_CASE_TEMPLATE("narrow: dw of every shape, beginning and going on", T, float, double) {
  Dice dice(34);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index m : reductions()) {
      for (const Index rows : sizes_to(kLanes)) {
        for (const Index lanes_ : sizes_to(kLanes)) {
          const int lanes = static_cast<int>(lanes_);
          const Index offset = dice.below(kLanes - rows + 1);
          const bool first = dice.below(2);
          const Values<T> a = panel<T>(dice, m, offset + rows), d = panel<T>(dice, m, lanes), g0 = panel<T>(dice, rows, lanes);
          Values<T> g = g0;
          pair.oracle.narrow_dw(rows, m, lanes, a.data() + offset, one(d.data()), one(g.data()), first);
          const auto describe = [&] { return words("narrow_dw rows, m, lanes, first", rows, m, lanes, first); };
          for (const Guard guard : kGuards) {
            Operands<T>& memory = operands<T>(guard);
            const T *pa = memory.in(a), *pd = memory.in(d);
            T* got = memory.out(g0);
            pair.kernels.narrow_dw(rows, m, lanes, pa + offset, one(pd), one(got), first);
            expect_panel(pair, got, g, lanes, describe);
            expect_zeros_behind(pair, got, rows, lanes, describe);
            expect_kept(pair, memory, describe);
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("narrow: dw of two panels in one call", T, float, double) {
  for_two_panels<T>(35, [](const Pair<T>& pair, Index m, Index rows, int lanes, Operands<T>& memory, Dice& dice) {
    const Values<T> a = panel<T>(dice, m, rows);
    Two<T> d(dice, m, lanes, false), g(dice, rows, lanes, true);
    const bool first = dice.below(2);
    for (Index p = 0; p < 2; ++p) {
      pair.oracle.narrow_dw(rows, m, lanes_of_panel(lanes, p), a.data(), d.oracle(p), g.oracle(p), first);
    }
    const T* pa = memory.in(a);
    const Panels<T> pd = d.in(memory), got = g.out(memory);
    pair.kernels.narrow_dw(rows, m, lanes, pa, pd, got, first);
    const auto describe = [&] { return words("narrow_dw of two panels, rows, m, lanes", rows, m, lanes); };
    g.expect(pair, got, lanes, describe);
    expect_zeros_behind(pair, got.panel(1), rows, lanes_of_panel(lanes, 1), describe);
    expect_kept(pair, memory, describe);
  });
}

TEST_CASE_TEMPLATE("narrow: a stretch of rows goes on from the one before, dw and db", T, float, double) {
  Dice dice(36);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index m : reductions()) {
      for (const int lanes : {1, 4, 9, 16}) {
        const Index rows = 1 + dice.below(kLanes);
        const Values<T> a = panel<T>(dice, m, rows);
        Values<T> d = panel<T>(dice, m, kLanes), whole(static_cast<std::size_t>(rows * kLanes)), parts = whole;
        Values<T> db_whole(kLanes), db_parts(kLanes), sums(4 * kLanes), sums_at_once(4 * kLanes);
        for (Index i = 0; i < m; ++i) {
          for (Index lane = lanes; lane < kLanes; ++lane) d[static_cast<std::size_t>(i * kLanes + lane)] = T(0);
        }
        pair.kernels.narrow_dw(rows, m, lanes, a.data(), one(d.data()), one(whole.data()), true);
        pair.kernels.db(m, d.data(), db_whole.data(), nullptr, nullptr, nullptr);
        pair.oracle.db_part(m, lanes, d.data(), sums_at_once.data(), true);
        for (Index r = 0; r < m;) {
          const Index count = std::min(m - r, 4 * (1 + dice.below(9)));
          Operands<T>& memory = operands<T>(count % 8 ? Guard::behind : Guard::before);
          const Values<T> here(d.begin() + r * kLanes, d.begin() + (r + count) * kLanes);
          const T* pd = memory.in(here);
          pair.kernels.narrow_dw(rows, count, lanes, a.data() + r * kLanes, one(pd), one(parts.data()), r == 0);
          T* got = memory.out(sums);
          pair.kernels.db_part(count, lanes, pd, got, r == 0);
          std::copy_n(got, 4 * kLanes, sums.data());
          const auto describe = [&] { return words("db_part m, lanes", count, lanes); };
          expect_kept(pair, memory, describe);
          r += count;
        }
        const auto describe = [&] { return words("stretches of m, rows, lanes", m, rows, lanes); };
        expect_panel(pair, parts.data(), whole, lanes, describe);
        expect_panel(pair, sums.data(), sums_at_once, lanes, describe);
        expect_zeros_behind(pair, sums.data(), 4, lanes, describe);
        pair.kernels.db(4, sums.data(), db_parts.data(), nullptr, nullptr, nullptr);
        expect_values(pair, db_parts.data(), db_whole, describe);
      }
    }
  }
}

namespace {

template <class T, class S>
void check_rows(const Pair<T>& pair, Index cols, Index rows, Dice& dice) {
  static Operand<S> data(65 * 40);
  static Operand<std::uint32_t> list(40);
  const Index stride = cols + dice.below(3), count = rows + dice.below(4);
  const bool shuffled = dice.below(2);
  std::vector<S> x(static_cast<std::size_t>((count - 1) * stride + cols));
  for (S& s : x) s = sizeof(S) == 1 ? static_cast<S>(dice.below(256)) : static_cast<S>(dice.number<double>() * 1000);
  std::vector<std::uint32_t> order;
  for (Index r = 0; r < rows; ++r) order.push_back(static_cast<std::uint32_t>(dice.below(count)));
  order.back() = static_cast<std::uint32_t>(count - 1);
  const Index jump = rows + 1, bytes = stride * static_cast<Index>(sizeof(S));
  const Values<T> out0 = dice.numbers<T>(((panels(cols) - 1) * jump + rows) * kLanes);
  Values<T> out = out0;
  const auto kind = static_cast<std::size_t>(source_kind<S>);
  pair.oracle.narrow_rows[kind](cols, rows, x.data(), bytes, shuffled ? order.data() : nullptr, {out.data(), jump});
  const auto describe = [&] { return words("narrow_rows source, cols, rows", static_cast<int>(kind), cols, rows); };
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    T* got = memory.out(out0);
    const S* px = data.place(x, guard);
    const std::uint32_t* po = list.place(order, guard);
    pair.kernels.narrow_rows[kind](cols, rows, px, bytes, shuffled ? po : nullptr, {got, jump});
    expect_values(pair, got, out, describe);
    expect_kept(pair, memory, describe);
    if (!data.kept() || std::memcmp(px, x.data(), x.size() * sizeof(S)) != 0) FAIL(describe() << ": x was written");
  }
}

}  // namespace

TEST_CASE_TEMPLATE("narrow: rows from every source, shuffled or as they are", T, float, double) {
  Dice dice(37);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index cols : sizes_to(64)) {
      for (const Index rows : {1, 2, 16, 35}) {
        check_rows<T, float>(pair, cols, rows, dice);
        check_rows<T, double>(pair, cols, rows, dice);
        check_rows<T, std::uint8_t>(pair, cols, rows, dice);
      }
    }
  }
}
