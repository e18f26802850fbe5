// Which kernel table runs: the best one that this CPU has, or the one that RETROGRAD_ISA names. Chosen once, outside of
// every loop. Holds the list of instruction sets, and nothing else about them. "avx512" means F, VL, BW and DQ.
#pragma once

#include <string>
#include <vector>

#include "kernels/table.h"

namespace retrograd {

// Tables that were built and that this CPU can run, best first.
const std::vector<const KernelTable*>& available_tables();

// Chosen at the first call. Throws std::invalid_argument where RETROGRAD_ISA names one that is unknown, was not built, or
// that this CPU cannot run.
const KernelTable& active_table();

// The choice that `name` (null or empty: the best) leads to; active_table() without its memory.
const KernelTable& table_named(const char* name);

template <class T>
const Kernels<T>& kernels_of(const KernelTable& table);
template <>
inline const Kernels<float>& kernels_of<float>(const KernelTable& table) {
  return table.f32;
}
template <>
inline const Kernels<double>& kernels_of<double>(const KernelTable& table) {
  return table.f64;
}

// Those of the active table. Where RETROGRAD_ISA names none, AVX-512 leaves calls of few lanes to AVX2's functions
// (Kernels::for_few_lanes): calls whose lanes fill half a vector or less and, where the CPU runs AVX-512 in two halves, those
// of one vector too.
template <class T>
const Kernels<T>& active_kernels();

// The same for passes over panels of which only the first `lanes` lanes are used: of the tables that give the same bits, the
// one with the shortest vectors that hold them. Where RETROGRAD_ISA names a table, that one.
template <class T>
const Kernels<T>& kernels_for(Index lanes);

}  // namespace retrograd
