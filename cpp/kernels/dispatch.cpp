// See dispatch.h. To add an instruction set: a line in the list below, and one in CMakeLists.txt.
#include "kernels/dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace retrograd {

#if defined(__x86_64__)
extern const KernelTable kernels_avx512, kernels_avx2, kernels_baseline;
#elif defined(__aarch64__)
extern const KernelTable kernels_neon;
#else
extern const KernelTable kernels_baseline;
#endif

namespace {

struct Candidate {
  const KernelTable* table;
  bool runs;
};

std::vector<Candidate> candidates() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
  return {{&kernels_avx512, avx512},
          {&kernels_avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
          {&kernels_baseline, true}};
#elif defined(__aarch64__)
  return {{&kernels_neon, true}};
#else
  return {{&kernels_baseline, true}};
#endif
}

const char* asked_for() { return std::getenv("RETROGRAD_ISA"); }
bool free_choice() { return !asked_for() || !*asked_for(); }

#if defined(__x86_64__)
// Zen 4 runs AVX-512 in two halves. A tile of one vector waits for a broadcast with each multiply-add,
// and its two halves share the broadcast, which costs nothing where the CPU halves vectors anyway. (Zen
// 3, of the same family, has no AVX-512.)
bool halves_vectors() { return __builtin_cpu_is("amdfam19h"); }
#endif

template <class T>
Kernels<T> with_few_lanes(const KernelTable& active) {
  Kernels<T> kernels = kernels_of<T>(active);
#if defined(__x86_64__)
  if (&active == &kernels_avx512 && free_choice()) {
    kernels.for_few_lanes = &kernels_of<T>(kernels_avx2);
    kernels.few_lanes = halves_vectors() ? kernels.width : kernels.width / 2;
  }
#endif
  return kernels;
}

}  // namespace

const std::vector<const KernelTable*>& available_tables() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> list;
    for (const Candidate& c : candidates()) {
      if (c.runs) list.push_back(c.table);
    }
    return list;
  }();
  return tables;
}

const KernelTable& table_named(const char* name) {
  if (!name || !*name) return *available_tables().front();
  std::string built;
  for (const Candidate& c : candidates()) {
    if (std::string(name) == c.table->isa) {
      if (c.runs) return *c.table;
      throw std::invalid_argument("RETROGRAD_ISA=" + std::string(name) + ": this CPU does not have these instructions");
    }
    built += (built.empty() ? "" : ", ") + std::string(c.table->isa);
  }
  throw std::invalid_argument("RETROGRAD_ISA=" + std::string(name) + " is unknown; this build has: " + built);
}

const KernelTable& active_table() {
  static const KernelTable& table = table_named(asked_for());
  return table;
}

template <class T>
const Kernels<T>& active_kernels() {
  static const Kernels<T> kernels = with_few_lanes<T>(active_table());
  return kernels;
}

template <class T>
const Kernels<T>& kernels_for(Index lanes) {
  static const bool free = free_choice();
  const Kernels<T>* best = &active_kernels<T>();
  for (const KernelTable* table : available_tables()) {
    const Kernels<T>& other = kernels_of<T>(*table);
    if (free && table->fused == active_table().fused && other.width >= lanes && other.width < best->width) best = &other;
  }
  return *best;
}

template const Kernels<float>& active_kernels();
template const Kernels<double>& active_kernels();
template const Kernels<float>& kernels_for(Index);
template const Kernels<double>& kernels_for(Index);

}  // namespace retrograd
