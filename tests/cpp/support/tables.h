// The kernel tables that a test can call, and what each must agree with. There is no test here.
#pragma once

#include "support/oracle.h"

#ifdef RETROGRAD_HALVES
namespace retrograd {
extern const KernelTable kernels_halves;
}
#endif

namespace retrograd::testing {

// The tables that the CPU runs, and AVX-512's tiles made of AVX2's vectors.
inline std::vector<const KernelTable*> tested_tables() {
  std::vector<const KernelTable*> tables = available_tables();
#ifdef RETROGRAD_HALVES
  for (const KernelTable* table : tables) {
    if (std::string(table->isa) == "avx2") {
      tables.push_back(&kernels_halves);
      break;
    }
  }
#endif
  return tables;
}

}  // namespace retrograd::testing
