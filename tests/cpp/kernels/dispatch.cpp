// The choice of a kernel table: names that are known, unknown or empty. Whether each table computes
// rightly is tested beside it.
#include <set>
#include <stdexcept>

#include "support/helpers.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE("available tables have names of their own, and the best comes first") {
  const auto& tables = available_tables();
  REQUIRE_FALSE(tables.empty());
  std::set<std::string> names;
  bool fused = true;
  for (const KernelTable* table : tables) {
    CHECK(names.insert(table->isa).second);
    CHECK((fused || !table->fused));  // no table with fused multiply-add comes after one without
    fused = table->fused;
  }
#if defined(__x86_64__)
  CHECK(names.count("baseline") == 1);
  CHECK_FALSE(tables.back()->fused);
#elif defined(__aarch64__)
  CHECK(names.count("neon") == 1);
  CHECK(tables.front()->fused);
#endif
}

TEST_CASE("table_named: a name gives that table, no name the best") {
  for (const KernelTable* table : available_tables()) CHECK(&table_named(table->isa) == table);
  CHECK(&table_named(nullptr) == available_tables().front());
  CHECK(&table_named("") == available_tables().front());
}

TEST_CASE("table_named: an unknown name is an error that says what there is") {
  for (const std::string name : {"avx1024", "AVX2", " baseline", "baseline "}) {
    CAPTURE(name);
    try {
      table_named(name.c_str());
      FAIL("no error");
    } catch (const std::invalid_argument& error) {
      const std::string message = error.what();
      CHECK(message.find("RETROGRAD_ISA=" + name) != std::string::npos);
      for (const KernelTable* table : available_tables()) CHECK(message.find(table->isa) != std::string::npos);
    }
  }
}

TEST_CASE("the active table is the one that RETROGRAD_ISA names") {
  CHECK(&active_table() == &table_named(std::getenv("RETROGRAD_ISA")));
  CHECK(&active_table() == &active_table());
  CHECK((active_kernels<float>().forward == active_table().f32.forward));
  CHECK((active_kernels<double>().forward == active_table().f64.forward));
}

TEST_CASE_TEMPLATE("every available table runs", T, float, double) {
  for (const KernelTable* table : available_tables()) {
    CAPTURE(std::string(table->isa));
    const Kernels<T>& kernels = kernels_of<T>(*table);
    alignas(64) T w[kLanes] = {T(3)}, x[kLanes] = {T(5)}, bias[kLanes] = {T(-1)}, a[kLanes] = {};
    kernels.forward(1, 1, 1, w, {x, 1}, bias, {a, 1}, {}, true, Activation::relu);
    CHECK(a[0] == T(14));
    CHECK(kernels.mr > 0);
  }
}

TEST_CASE_TEMPLATE("few lanes: shorter vectors of the same bits, for no more lanes than one vector holds; a named table alone",
                   T, float, double) {
  const Kernels<T>& kernels = active_kernels<T>();
  const bool named = std::getenv("RETROGRAD_ISA") && *std::getenv("RETROGRAD_ISA");
  CHECK(&kernels.of(2 * static_cast<int>(kLanes)) == &kernels);
  if (named || std::string(active_table().isa) != "avx512") {
    CHECK(kernels.few_lanes == 0);
    CHECK(&kernels.of(1) == &kernels);
    return;
  }
  CHECK(kernels.few_lanes >= kernels.width / 2);
  CHECK(kernels.few_lanes <= kernels.width);
  REQUIRE(&kernels.of(1) != &kernels);
  CHECK(kernels.of(1).width < kernels.width);
  CHECK(&kernels.of(1) == &kernels_of<T>(table_named("avx2")));
  CHECK(table_named("avx2").fused);
}

TEST_CASE_TEMPLATE("kernels_for: vectors no wider than the lanes need, of the same bits; a named table is kept", T, float,
                   double) {
  const bool named = std::getenv("RETROGRAD_ISA") && *std::getenv("RETROGRAD_ISA");
  for (Index lanes = 1; lanes <= kLanes; ++lanes) {
    CAPTURE(lanes);
    const Kernels<T>& kernels = kernels_for<T>(lanes);
    if (named) {
      CHECK(&kernels == &active_kernels<T>());
      continue;
    }
    bool found = false;
    for (const KernelTable* table : available_tables()) {
      const Kernels<T>& other = kernels_of<T>(*table);
      if (other.forward == kernels.forward) {
        found = true;
        CHECK(table->fused == active_table().fused);
      }
      if (table->fused == active_table().fused && other.width >= lanes) CHECK(kernels.width <= other.width);
    }
    CHECK(found);
  }
}
