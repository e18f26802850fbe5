// The gradients of weights and biases, with each kind of fused update, on every table against the oracle, to the last bit,
// each operand at a guard page.
#include "support/blocks.h"
#include "support/checks.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace retrograd::testing {

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
    // An update that follows earlier blocks may leave anything in g.
    if (update && last) step.got_g = nullptr;
    step.expect(pair, lanes, describe);
    expect_kept(pair, memory, describe);
  }
}

template void check_dw(const Pair<float>&, Index, Index, int, bool, bool, const Update<float>*, Dice&);
template void check_dw(const Pair<double>&, Index, Index, int, bool, bool, const Update<double>*, Dice&);

}  // namespace retrograd::testing

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

// `changed` in the first `lanes` lanes of each row, and `old` in the others.
template <class T>
Values<T> in_lanes(int lanes, const Values<T>& changed, Values<T> old) {
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (static_cast<int>(i % kLanes) < lanes) old[i] = changed[i];
  }
  return old;
}

}  // namespace

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
  // The other operand must give the bits of dw from the gathered panel.
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
