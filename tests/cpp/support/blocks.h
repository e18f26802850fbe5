// Operands for products in blocks and over two panels at once. There is no test here.
#pragma once

#include "support/updates.h"

namespace retrograd::testing {

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

// Two panels of `rows` rows with a gap between them, and the oracle's result for each alone.
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

  void expect(const Pair<T>& pair, Panels<T> got, int lanes, Description describe) const {
    const auto part = [&](Index from, Index to, int n) {
      const Values<T> wanted(want.begin() + from * kLanes, want.begin() + to * kLanes);
      expect_panel(pair, got.data + from * kLanes, wanted, n, describe);
    };
    part(0, jump, static_cast<int>(kLanes));  // the gap too
    part(jump, jump + rows, lanes - static_cast<int>(kLanes));
  }
};

// Calls check(lanes of both panels, oracle_of_panel), which calls its kernel once for both
// panels and its oracle for each.
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

inline int lanes_of_panel(int lanes, Index p) { return p == 0 ? static_cast<int>(kLanes) : lanes - static_cast<int>(kLanes); }

}  // namespace retrograd::testing
