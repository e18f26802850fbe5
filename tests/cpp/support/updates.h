// The kinds of update that kernels fuse, and what is compared after a step. There is no test here.
#pragma once

#include "support/pairs.h"

namespace retrograd::testing {

// An update with everything that any rule may have; the rest comes from `from`.
template <class T>
Update<T> every_term(Update<T> from) {
  from.keep = T(0.75);
  from.scale = T(0.5);
  from.clip = T(0.2);
  from.shrink = T(0.99);
  from.l1 = T(0.03);
  return from;
}

// Every kind of step that is fused; null asks for the gradient.
template <class T>
std::vector<const Update<T>*> updates();

template <class T>
std::string describe_update(const Update<T>* u);

// What dw, dw_rows, db and update write: g where the gradient is asked for (or an earlier
// block left it), else w and v.
template <class T>
struct Step {
  Values<T> g0, w0, v0, g, w, v;
  T *got_g = nullptr, *got_w = nullptr, *got_v = nullptr;

  Step(Dice& dice, Index rows);

  // Null where the contract allows it.
  void place(Operands<T>& memory, const Update<T>* update, bool needs_g);
  void expect(const Pair<T>& pair, int lanes, Description describe) const;
};

}  // namespace retrograd::testing
