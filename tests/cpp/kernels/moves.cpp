// Data on its way into panels: it is transposed, gathered and converted from every source, and
// searched for what is not finite.
#include "support/pairs.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE_TEMPLATE("transpose: every corner of a square", T, float, double) {
  Dice dice(13);
  for (const Pair<T>& pair : pairs<T>()) {
    for (Index rows = 1; rows <= kLanes; ++rows) {
      for (Index lanes = 1; lanes <= kLanes; ++lanes) {
        const Values<T> src = panel<T>(dice, rows, lanes), dst0 = dice.numbers<T>(kLanes * kLanes);
        Values<T> dst = dst0;
        pair.oracle.transpose(rows, lanes, src.data(), dst.data());
        dst.resize(static_cast<std::size_t>(lanes * kLanes));  // the contract does not say what the later rows hold
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
