// The products of a layer, forward and of its deltas, on every table against the oracle, to the last
// bit, with each operand at a guard page. What whole layers make of them is tested in layers/cube.cpp,
// whole networks in network/.
#include "support/blocks.h"
#include "support/checks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace retrograd::testing {

template <class T>
void check_forward(const Pair<T>& pair, const ForwardCase& c, Dice& dice, T special) {
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

template void check_forward(const Pair<float>&, const ForwardCase&, Dice&, float);
template void check_forward(const Pair<double>&, const ForwardCase&, Dice&, double);

}  // namespace retrograd::testing

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
    for (const Activation f : kEveryActivation) {
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

// Every cut of the reduction must give the bits of one uncut run.
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
            const Index second = cut + (k - cut) / 2;  // there is a third part where it fits
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
  // The other operand order must give the bits of `forward`.
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

namespace retrograd::testing {

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

template void check_delta(const Pair<float>&, const DeltaCase&, Dice&);
template void check_delta(const Pair<double>&, const DeltaCase&, Dice&);

}  // namespace retrograd::testing

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
    for (const Activation f : kEveryActivation) {
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

// ---------------------------------------------------------------------------------------------- two panels in one call

TEST_CASE_TEMPLATE("forward: two panels in one call", T, float, double) {
  for_two_panels<T>(21, [](const Pair<T>& pair, Index k, Index units, int lanes, Operands<T>& memory, Dice& dice) {
    const Values<T> w = panel<T>(dice, k, units), b = panel<T>(dice, 1, units);
    Two<T> x(dice, k, lanes, false), a(dice, units, lanes, true), z(dice, units, lanes, true);
    z.jump = a.jump;
    z.before.resize(a.before.size());
    z.want = z.before;
    const bool bias = dice.below(2), last = dice.below(2), keep_z = dice.below(2);
    const Activation f = kEveryActivation[dice.below(kActivationCount)];
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
    const Activation f = kEveryActivation[dice.below(kActivationCount)];
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
