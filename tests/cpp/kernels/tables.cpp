// The tables compared with each other, and the numbers that they state.
#include "support/checks.h"

using namespace retrograd;
using namespace retrograd::testing;

// This follows from the oracle's tests; here it is tested without the oracle, between the functions themselves.
TEST_CASE_TEMPLATE("tables with fused multiply-add agree with each other", T, float, double) {
  Dice dice(18);
  const auto kinds = updates<T>();
  for (const KernelTable* one : tested_tables()) {
    for (const KernelTable* other : tested_tables()) {
      if (one == other || !one->fused || !other->fused) continue;
      Pair<T> pair = pair_of<T>(*one, kernels_of<T>(*other));
      pair.width = std::max(pair.width, pair_of<T>(*other, pair.kernels).width);  // either may write its own vectors
      for (int turn = 0; turn < (few_sizes() ? 50 : 500); ++turn) {
        const Index k = 1 + dice.below(200), rows = 1 + dice.below(16);
        const int lanes = static_cast<int>(1 + dice.below(16));
        const Activation f = kEveryActivation[turn % kActivationCount];
        check_forward(pair, {k, rows, lanes, true, true, false, f}, dice);
        check_delta(pair, {rows, k, lanes, 1, true, true, f}, dice);
        check_dw<T>(pair, rows, k, lanes, true, true, kinds[static_cast<std::size_t>(turn) % kinds.size()], dice);
        check_loss<T>(pair, {Loss::cross_entropy, Activation::identity, rows, lanes, true, true, dice}, dice);
        check_loss<T>(pair, {Loss::binary_cross_entropy, Activation::identity, rows, lanes, false, true, dice}, dice);
      }
    }
  }
}

TEST_CASE_TEMPLATE("mr, group and row_group fit the blocks on the stack of dense.cpp; width is what is written", T, float,
                   double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CHECK(pair.kernels.width == pair.width);
    CHECK(pair.kernels.mr >= 1);
    CHECK(pair.kernels.mr <= 16);
    CHECK(pair.kernels.group >= 1);
    CHECK(pair.kernels.group <= 2);
    CHECK(pair.kernels.row_group >= pair.kernels.group);
    CHECK(pair.kernels.row_group <= 8);
  }
}
