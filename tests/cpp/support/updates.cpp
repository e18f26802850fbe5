// Kinds of update and their steps, compiled once for all tests.
#include "support/updates.h"

namespace retrograd::testing {

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

template <class T>
Step<T>::Step(Dice& dice, Index rows)
    : g0(dice.numbers<T>(rows * kLanes)),
      w0(dice.numbers<T>(rows * kLanes)),
      v0(dice.numbers<T>(rows * kLanes)),
      g(g0),
      w(w0),
      v(v0) {}

template <class T>
void Step<T>::place(Operands<T>& memory, const Update<T>* update, bool needs_g) {
  got_g = needs_g ? memory.out(g0) : nullptr;
  got_w = update ? memory.out(w0) : nullptr;
  got_v = update && update->momentum != 0 ? memory.out(v0) : nullptr;
}

template <class T>
void Step<T>::expect(const Pair<T>& pair, int lanes, Description describe) const {
  if (got_g) expect_panel(pair, got_g, g, lanes, [&] { return describe() + ": g"; });
  if (got_w) expect_panel(pair, got_w, w, lanes, [&] { return describe() + ": w"; });
  if (got_v) expect_panel(pair, got_v, v, lanes, [&] { return describe() + ": v"; });
}

template std::vector<const Update<float>*> updates();
template std::string describe_update(const Update<float>*);
template struct Step<float>;
template std::vector<const Update<double>*> updates();
template std::string describe_update(const Update<double>*);
template struct Step<double>;

}  // namespace retrograd::testing
