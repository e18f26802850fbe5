// Memory of the core: aligned, zeroed, and sizes that overflow.
#include "base/arena.h"

#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE("memory: aligned, zeroed, checked for overflow before anything is allocated") {
  for (const Index count : {1, 3, 1000, 5000000}) {
    Arena<float> arena(count);
    CHECK(arena.size() == count);
    CHECK(reinterpret_cast<std::uintptr_t>(arena.data()) % 64 == 0);
    CHECK(std::all_of(arena.data(), arena.data() + count, [](float x) { return x == 0; }));
    arena.data()[count - 1] = 1;
    arena.clear();
    CHECK(arena.data()[count - 1] == 0);
    float* data = arena.data();
    Arena<float> other(std::move(arena));
    CHECK(other.data() == data);
    CHECK(arena.data() == nullptr);
  }
  CHECK(Arena<double>(0).data() == nullptr);
  constexpr Index max = std::numeric_limits<Index>::max();
  CHECK_THROWS_AS(Arena<double>(-1), std::length_error);
  CHECK_THROWS_AS(Arena<double>{max / 64}, std::length_error);
  CHECK_THROWS_AS(checked_multiply(max, 2), std::length_error);
  CHECK_THROWS_AS(checked_multiply(Index{1} << 32, Index{1} << 32), std::length_error);
  CHECK_THROWS_AS(checked_multiply(-1, 1), std::length_error);
  CHECK(checked_multiply(1 << 20, 1 << 20) == Index{1} << 40);
  CHECK(checked_multiply(0, max) == 0);
}
