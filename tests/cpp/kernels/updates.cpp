// The optimisers' rules as passes of their own, sums of squares, and averages, on every table against the oracle.
#include "support/updates.h"

using namespace retrograd;
using namespace retrograd::testing;

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
          update.to_s1 = count;
          update.to_s2 = (flags & 4) != 0 ? 2 * count : 0;
          Values<T> g = dice.numbers<T>(count), w = dice.numbers<T>(count), s = dice.numbers<T>(3 * count);
          for (std::size_t i = 0; i < s.size(); ++i) {
            // Squares must have a root; the first plane of adam and lion may have any sign.
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

TEST_CASE_TEMPLATE("blend: a part of the distance, number by number", T, float, double) {
  Dice dice(43);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index lines : {0, 1, 2, 3, 8, 9, 256}) {
      for (const T tau : {T(0), T(0.001), T(0.5), T(1)}) {
        const Index count = lines * kLanes;
        const Values<T> b = dice.numbers<T>(count), a = dice.numbers<T>(count);
        Values<T> want = a;
        pair.oracle.blend(count, tau, b.data(), want.data());
        const auto describe = [&] { return words("blend lines", lines); };
        for (const Guard guard : kGuards) {
          Operands<T>& memory = operands<T>(guard);
          T* got = memory.out(a);
          pair.kernels.blend(count, tau, memory.in(b), got);
          expect_values(pair, got, want, describe);
          expect_kept(pair, memory, describe);
        }
      }
    }
  }
}
