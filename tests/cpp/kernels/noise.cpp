// Dropout and noise on every table: the numbers of Philox one at a time, each operand at a guard page.
#include "support/guarded.h"
#include "support/tables.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

struct Spot {
  Draw draw;
  Index unit, row;
};

// The first block, one far into a large batch, and counters that fill their words.
const Spot kSpots[] = {{{0, 0, 0}, 0, 0},
                       {{0x123456789abcdef0u, 77, 0x13}, 48, 1040},
                       {{~0ull, ~0u, ~0u}, (Index{1} << 32) - 64, (Index{1} << 32) - 64}};

// Makes call(kernels, units, lanes, spot, from, to) on every table, shape, spot and guard, with `to`
// apart from `from` and equal to it, and compares with the oracle.
template <class T, class Call>
void each_call(Call call) {
  Dice dice(31);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    const Kernels<T>&kernels = kernels_of<T>(*table), &oracle = oracle_of<T>(*table);
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(19)) {
        for (const Index lanes : sizes_to(kLanes)) {
          for (const Spot& at : kSpots) {
            const Values<T> from = dice.numbers<T>(units * kLanes);
            Values<T> want = from;
            call(oracle, units, static_cast<int>(lanes), at, from.data(), want.data());
            const Index written = (lanes + kernels.width - 1) / kernels.width * kernels.width;  // of each row
            for (const bool in_place : {false, true}) {
              memory.start(guard);
              T* to = memory.out(from);
              call(kernels, units, static_cast<int>(lanes), at, in_place ? to : memory.in(from), to);
              REQUIRE(memory.kept());
              for (Index i = 0; i < units * kLanes; ++i) {
                if (i % kLanes >= lanes && i % kLanes < written) continue;
                const T expected = want[static_cast<std::size_t>(i)];
                if (!same(to[i], expected)) {
                  FAIL(table->isa << words(" units", units) << words(" lanes", lanes) << ": value " << i << ": got " << to[i]
                                  << ", expected " << expected);
                }
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("drop: the masks of Philox one number at a time, on every table", T, float, double) {
  for (const std::uint32_t threshold : {0x59999999u, 0u, 0xffffffffu}) {
    each_call<T>([=](const Kernels<T>& kernels, Index units, int lanes, const Spot& at, const T* from, T* to) {
      kernels.drop(units, lanes, at.draw, at.unit, at.row, threshold, T(1) / T(0.65), from, to);
    });
  }
}

TEST_CASE_TEMPLATE("drop: NaN and infinity stay where they are not dropped", T, float, double) {
  const Draw draw{9, 1, 3};
  for (const KernelTable* table : tested_tables()) {
    Values<T> a(4 * kLanes, nan<T>());
    for (std::size_t i = 0; i < a.size(); i += 2) a[i] = infinity<T>();
    Values<T> want = a;
    kernels_of<T>(*table).drop(4, kLanes, draw, 0, 0, 0x80000000u, T(2), a.data(), a.data());
    oracle_of<T>(*table).drop(4, kLanes, draw, 0, 0, 0x80000000u, T(2), want.data(), want.data());
    CHECK(same(a, want));
    CHECK(std::count(a.begin(), a.end(), T(0)) > 0);
  }
}

TEST_CASE_TEMPLATE("add_noise: the same numbers on every table", T, float, double) {
  each_call<T>([=](const Kernels<T>& kernels, Index units, int lanes, const Spot& at, const T* from, T* to) {
    kernels.add_noise(units, lanes, at.draw, at.unit, at.row, T(0.37), from, to);
  });
}

TEST_CASE_TEMPLATE("blocks: Philox one block at a time, on every table", T, float, double) {
  Operand<std::uint64_t> low(64), high(64);
  for (const KernelTable* table : tested_tables()) {
    CAPTURE(std::string(table->isa));
    for (const Draw& draw : {Draw{0, 0, 0}, Draw{0x123456789abcdef0u, 77, 2}, Draw{~0ull, ~0u, ~0u}}) {
      for (const std::uint64_t first : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 5, ~std::uint64_t{0} - 9}) {
        for (const Index count : {16, 64}) {
          for (const Guard guard : kGuards) {
            std::vector<std::uint64_t> a(static_cast<std::size_t>(count)), b = a, want_a = a, want_b = a;
            std::uint64_t *got_a = low.place(a, guard), *got_b = high.place(b, guard);
            kernels_of<T>(*table).blocks(draw, first, count, got_a, got_b);
            oracle_of<T>(*table).blocks(draw, first, count, want_a.data(), want_b.data());
            CHECK(std::equal(want_a.begin(), want_a.end(), got_a));
            CHECK(std::equal(want_b.begin(), want_b.end(), got_b));
            CHECK(low.kept());
            CHECK(high.kept());
          }
        }
      }
    }
  }
}
