// Layer and batch normalisation and the limit on norms, on every table against the oracle, each operand at a guard page.
#include "support/guarded.h"
#include "support/tables.h"

using namespace retrograd;
using namespace retrograd::testing;

TEST_CASE_TEMPLATE("limit_norm: every height, on every table; at the limit, above it, beyond all numbers", T, float, double) {
  Dice dice(8);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    for (const Guard guard : kGuards) {
      for (const Index rows : sizes_to(37)) {
        Values<T> w = dice.numbers<T>(rows * kLanes);
        for (Index r = 0; r < rows; ++r) {
          T* row = &w[static_cast<std::size_t>(r * kLanes)];
          row[3] = r == 0 ? T(2) : T(0);                  // at the limit: nothing changes
          row[4] = std::numeric_limits<T>::max() / T(2);  // a square that overflows
          row[5] = r == 0 ? nan<T>() : row[5];
          row[6] = T(0);
          row[7] *= T(100);
        }
        Values<T> want = w;
        oracle_of<T>(*table).limit_norm(rows, want.data(), T(2));
        memory.start(guard);
        T* got = memory.out(w);
        kernels_of<T>(*table).limit_norm(rows, got, T(2));
        REQUIRE(memory.kept());
        for (Index i = 0; i < rows * kLanes; ++i) {
          const T expected = want[static_cast<std::size_t>(i)];
          if (!same(got[i], expected)) FAIL(table->isa << words(" rows", rows) << ": value " << i << ": " << got[i]);
        }
        CHECK(got[3] == T(2));
        CHECK(std::isnan(got[4]));
        double norm = 0;
        for (Index r = 0; r < rows; ++r)
          norm += static_cast<double>(got[r * kLanes + 7]) * static_cast<double>(got[r * kLanes + 7]);
        CHECK(std::sqrt(norm) < 2.000001);
      }
    }
  }
}

namespace {

// [units][16]: the first `lanes` of each row are promised, and what lies past the vector that
// holds them must be untouched.
template <class T>
void expect_rows(const KernelTable& table, const T* got, const Values<T>& want, Index lanes, const std::string& what) {
  const Index width = kernels_of<T>(table).width, written = (lanes + width - 1) / width * width;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const Index lane = static_cast<Index>(i) % kLanes;
    if (lane >= lanes && lane < written) continue;
    if (!same(got[i], want[i])) FAIL(table.isa << " " << what << ": value " << i << ": " << got[i] << ", expected " << want[i]);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("normalise_rows and denormalise_rows: every shape, on every table", T, float, double) {
  Dice dice(41);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    const Kernels<T>&kernels = kernels_of<T>(*table), &oracle = oracle_of<T>(*table);
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(37)) {
        for (const Index lanes : sizes_to(kLanes)) {
          const std::string what = words("units", units) + words(" lanes", lanes);
          const int n = static_cast<int>(lanes);
          const Values<T> gamma = dice.numbers<T>(units), beta = dice.numbers<T>(units), z = dice.numbers<T>(units * kLanes);
          Values<T> hat = z, rstd = dice.numbers<T>(kLanes), a = z;
          memory.start(guard);
          const T *g = memory.in(gamma), *b = memory.in(beta);
          T *got_a = memory.out(a), *got_hat = memory.out(hat), *got_rstd = memory.out(rstd);
          kernels.normalise_rows(units, n, T(1e-5), g, b, got_a, got_hat, got_rstd, got_a);  // in place
          oracle.normalise_rows(units, n, T(1e-5), gamma.data(), beta.data(), z.data(), hat.data(), rstd.data(), a.data());
          REQUIRE(memory.kept());
          expect_rows(*table, got_a, a, lanes, what);
          expect_rows(*table, got_hat, hat, lanes, what);
          expect_rows(*table, got_rstd, rstd, lanes, what);

          memory.start(guard);
          T* plain = memory.out(z);
          kernels.normalise_rows(units, n, T(1e-5), memory.in(gamma), memory.in(beta), memory.in(z), nullptr, nullptr, plain);
          REQUIRE(memory.kept());
          expect_rows(*table, plain, a, lanes, what);

          Values<T> d = dice.numbers<T>(units * kLanes), product = z;
          memory.start(guard);
          T *got_d = memory.out(d), *got_product = memory.out(product);
          kernels.denormalise_rows(units, n, memory.in(gamma), memory.in(hat), memory.in(rstd), got_d, got_product);
          oracle.denormalise_rows(units, n, gamma.data(), hat.data(), rstd.data(), d.data(), product.data());
          REQUIRE(memory.kept());
          expect_rows(*table, got_d, d, lanes, what);
          expect_rows(*table, got_product, product, lanes, what);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("unit_sums: every number of units and rows, on every table; lanes past the last row do not count", T, float,
                   double) {
  Dice dice(43);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(kLanes)) {
        for (const Index rows : sizes_to(49)) {
          // Nothing lies behind the last row of units of these panels, and the lanes
          // past the last row hold NaN.
          const Index height = units + 3, count = (panels(rows) - 1) * height * kLanes + units * kLanes;
          Values<T> x = dice.numbers<T>(count), y = dice.numbers<T>(count), centre = dice.numbers<T>(units);
          for (Index u = 0; u < units; ++u) {
            for (Index i = (rows - 1) % kLanes + 1; i < kLanes; ++i) {
              const auto place = static_cast<std::size_t>(count - units * kLanes + u * kLanes + i);
              x[place] = y[place] = nan<T>();
            }
          }
          for (int kind = 0; kind < 3; ++kind) {
            Values<T> out = dice.numbers<T>(kLanes);
            memory.start(guard);
            T* got = memory.out(out);
            const Panels<const T> px{memory.in(x), height}, py{kind == 1 ? memory.in(y) : nullptr, height};
            kernels_of<T>(*table).unit_sums(units, rows, px, py, kind == 2 ? memory.in(centre) : nullptr, got);
            oracle_of<T>(*table).unit_sums(units, rows, {x.data(), height}, {kind == 1 ? y.data() : nullptr, height},
                                           kind == 2 ? centre.data() : nullptr, out.data());
            REQUIRE(memory.kept());
            expect_rows(*table, got, out, kLanes, words("units", units) + words(" rows", rows) + words(" kind", kind));
          }
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("normalise_units and denormalise_units: every shape, on every table", T, float, double) {
  Dice dice(47);
  Operands<T> memory;
  for (const KernelTable* table : tested_tables()) {
    const Kernels<T>&kernels = kernels_of<T>(*table), &oracle = oracle_of<T>(*table);
    for (const Guard guard : kGuards) {
      for (const Index units : sizes_to(kLanes)) {
        for (const Index lanes : sizes_to(kLanes)) {
          const std::string what = words("units", units) + words(" lanes", lanes);
          const int n = static_cast<int>(lanes);
          const Values<T> mean = dice.numbers<T>(units), rstd = dice.numbers<T>(units), gamma = dice.numbers<T>(units),
                          beta = dice.numbers<T>(units), z = dice.numbers<T>(units * kLanes);
          for (const bool keep : {true, false}) {
            Values<T> hat = z, a = z;
            memory.start(guard);
            T *got_a = memory.out(a), *got_hat = keep ? memory.out(hat) : nullptr;
            kernels.normalise_units(units, n, memory.in(mean), memory.in(rstd), memory.in(gamma), memory.in(beta), got_a,
                                    got_hat, got_a);
            oracle.normalise_units(units, n, mean.data(), rstd.data(), gamma.data(), beta.data(), z.data(),
                                   keep ? hat.data() : nullptr, a.data());
            REQUIRE(memory.kept());
            expect_rows(*table, got_a, a, lanes, what);
            if (keep) expect_rows(*table, got_hat, hat, lanes, what);
          }
          Values<T> d = dice.numbers<T>(units * kLanes);
          memory.start(guard);
          T* got_d = memory.out(d);
          kernels.denormalise_units(units, n, memory.in(mean), memory.in(rstd), memory.in(gamma), memory.in(z), got_d);
          oracle.denormalise_units(units, n, mean.data(), rstd.data(), gamma.data(), z.data(), d.data());
          REQUIRE(memory.kept());
          expect_rows(*table, got_d, d, lanes, what);
        }
      }
    }
  }
}
