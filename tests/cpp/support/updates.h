// The kinds of update that kernels fuse, and what is compared after a step. No test.
#pragma once

#include "support/pairs.h"

namespace retrograd::testing {

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

}  // namespace retrograd::testing
