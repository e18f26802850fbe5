// Which kernel table runs: the best one that this CPU has, or the one that RETROGRAD_ISA names. It is chosen
// once, outside of every loop. What the tables contain is not here (table.h). "avx512" means F, VL, BW and DQ.
#pragma once

#include <string>
#include <vector>

#include "kernels/table.h"

namespace retrograd {

// The tables that were built and that this CPU can run, best first.
const std::vector<const KernelTable*>& available_tables();

// The table in use, chosen at the first call. It throws std::invalid_argument where RETROGRAD_ISA names
// a table that is unknown, was not built, or cannot run on this CPU.
const KernelTable& active_table();

// The table that active_table() would choose for RETROGRAD_ISA=`name` (null or empty: the
// best); nothing is remembered.
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

// The kernels of the active table. Where RETROGRAD_ISA names none, AVX-512 leaves calls of few lanes to
// AVX2's functions (Kernels::for_few_lanes): calls whose lanes fill half a vector or less, and, where
// the CPU runs AVX-512 in two halves, calls of one vector too.
template <class T>
const Kernels<T>& active_kernels();

// The same for passes over panels of which only the first `lanes` lanes are used: of the tables that
// give the same bits, the one with the shortest vectors that hold these lanes. Where RETROGRAD_ISA
// names a table, it is that one.
template <class T>
const Kernels<T>& kernels_for(Index lanes);

}  // namespace retrograd
