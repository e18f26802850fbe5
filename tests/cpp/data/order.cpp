// The order of an epoch: the shuffle of base/random.h, drawn by the chosen kernels, and kept for the epoch.
#include "data/order.h"

#include "base/random.h"
#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

std::vector<std::uint32_t> plain(std::uint64_t seed, std::uint32_t epoch, std::uint32_t n) {
  std::vector<std::uint32_t> order(n);
  permutation(seed, epoch, n, order.data());
  return order;
}

}  // namespace

TEST_CASE("EpochOrder: the plain shuffle, for every number of rows") {
  EpochOrder order;
  Interrupt interrupt{Poll{}};
  const auto check = [&](std::uint64_t seed, std::uint32_t epoch, std::uint32_t n) {
    CAPTURE(n);
    order.prepare(n);
    REQUIRE(order.draw(seed, epoch, interrupt));
    const std::vector<std::uint32_t> want = plain(seed, epoch, n);
    CHECK(std::equal(want.begin(), want.end(), order.data()));
  };
  for (std::uint32_t n = 1; n <= 130; ++n) check(n, 3, n);
  for (const std::uint32_t n : {1000u, 65537u, 1u << 20, (1u << 20) + 1}) check(~0ull - n, ~0u, n);
}

TEST_CASE("EpochOrder: another order for another seed or epoch, and none where it was interrupted") {
  constexpr std::uint32_t n = 1u << 20;
  EpochOrder order;
  order.prepare(n);
  Interrupt never{Poll{}};
  const auto is = [&](std::uint64_t seed, std::uint32_t epoch) {
    const std::vector<std::uint32_t> want = plain(seed, epoch, n);
    return std::equal(want.begin(), want.end(), order.data());
  };
  REQUIRE(order.draw(1, 2, never));
  CHECK(is(1, 2));
  REQUIRE(order.draw(1, 3, never));
  CHECK(is(1, 3));
  REQUIRE(order.draw(2, 3, never));
  CHECK(is(2, 3));
  Interrupt at_once{Poll{[](void*) { return true; }, nullptr}};
  bool finished = true;
  for (int i = 0; i < 1000 && finished; ++i) finished = order.draw(2, 4 + static_cast<std::uint32_t>(i), at_once);
  CHECK_FALSE(finished);  // it looks at the clock first, so one shuffle may be too short
  REQUIRE(order.draw(2, 3, never));
  CHECK(is(2, 3));
}
