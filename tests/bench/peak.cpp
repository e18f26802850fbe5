// The machine's own limit: multiply-adds on registers alone, for each instruction set that the compiler and this CPU have.
//
//   g++ -O3 -std=c++17 -fopenmp -ffp-contract=fast peak.cpp -o peak && ./peak [SECONDS]
//
// Prints lines "ISA TYPE THREADS GFLOP/s"; each is the fastest of several short runs, for SECONDS (default 0.1) in all. A
// multiply-add counts as two operations. Where there is no fused one, it is a multiplication and an addition.
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace {

#if defined(__x86_64__)
#define PEAK_REGISTER "v"
#define PEAK_REGISTER_SSE "x"
#else
#define PEAK_REGISTER "w"
#define PEAK_REGISTER_SSE "w"
#endif

// So many independent chains that the latency of one is hidden behind the others, and that all stay in registers. A macro,
// not a template: vectors wider than the function's own instruction set would be cut to pieces before any inlining.
#define PEAK_FUNCTION(NAME, TYPE, BYTES, CHAINS, REGISTER, ...)                         \
  __VA_ARGS__ double NAME(long steps) {                                                 \
    typedef TYPE V __attribute__((vector_size(BYTES)));                                 \
    V chain[CHAINS], factor = V{} + TYPE(0.999999), term = V{} + TYPE(1e-7);            \
    asm volatile("" : "+" REGISTER(factor), "+" REGISTER(term));                        \
    _Pragma("GCC unroll 32") for (int i = 0; i < CHAINS; ++i) chain[i] = V{} + TYPE(i); \
    for (long s = 0; s < steps; ++s) {                                                  \
      _Pragma("GCC unroll 32") for (int i = 0; i < CHAINS; ++i) {                       \
        chain[i] = chain[i] * factor + term;                                            \
        asm volatile("" : "+" REGISTER(chain[i]));                                      \
      }                                                                                 \
    }                                                                                   \
    V sum{};                                                                            \
    _Pragma("GCC unroll 32") for (int i = 0; i < CHAINS; ++i) sum += chain[i];          \
    return static_cast<double>(sum[0]);                                                 \
  }

#if defined(__x86_64__)
PEAK_FUNCTION(baseline_f32, float, 16, 14, PEAK_REGISTER_SSE)
PEAK_FUNCTION(baseline_f64, double, 16, 14, PEAK_REGISTER_SSE)
PEAK_FUNCTION(avx2_f32, float, 32, 12, PEAK_REGISTER_SSE, __attribute__((target("avx2,fma"))))
PEAK_FUNCTION(avx2_f64, double, 32, 12, PEAK_REGISTER_SSE, __attribute__((target("avx2,fma"))))
PEAK_FUNCTION(avx512_f32, float, 64, 24, PEAK_REGISTER, __attribute__((target("avx512f,fma"))))
PEAK_FUNCTION(avx512_f64, double, 64, 24, PEAK_REGISTER, __attribute__((target("avx512f,fma"))))
#else
PEAK_FUNCTION(neon_f32, float, 16, 24, PEAK_REGISTER)
PEAK_FUNCTION(neon_f64, double, 16, 24, PEAK_REGISTER)
#endif

struct Candidate {
  const char* isa;
  const char* type;
  int chains, lanes;
  bool runs;
  double (*run)(long steps);
};

double kept = 0;  // what the loops computed: a result that nobody reads need not be computed

// Seconds of the slowest of `threads` that take so many steps each.
double seconds_of(const Candidate& what, int threads, long steps) {
  double slowest = 0, sum = 0;
#pragma omp parallel num_threads(threads) reduction(max : slowest) reduction(+ : sum)
  {
#pragma omp barrier
    const double start = omp_get_wtime();
    sum += what.run(steps);
    slowest = omp_get_wtime() - start;
  }
  kept += sum;
  return slowest;
}

double gflops(const Candidate& what, int threads, double seconds) {
  long steps = 1000;
  while (seconds_of(what, threads, steps) < seconds / 20) steps *= 2;
  double best = 1e300;
  for (double stop = omp_get_wtime() + seconds; omp_get_wtime() < stop;) {
    best = std::min(best, seconds_of(what, threads, steps));
  }
  return 2e-9 * what.chains * what.lanes * static_cast<double>(steps) * threads / best;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0.1;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f");
  const Candidate candidates[] = {
      {"baseline", "float32", 14, 4, true, baseline_f32}, {"baseline", "float64", 14, 2, true, baseline_f64},
      {"avx2", "float32", 12, 8, avx2, avx2_f32},         {"avx2", "float64", 12, 4, avx2, avx2_f64},
      {"avx512", "float32", 24, 16, avx512, avx512_f32},  {"avx512", "float64", 24, 8, avx512, avx512_f64},
  };
#else
  const Candidate candidates[] = {{"neon", "float32", 24, 4, true, neon_f32}, {"neon", "float64", 24, 2, true, neon_f64}};
#endif
  const int all = omp_get_max_threads();
  for (const Candidate& candidate : candidates) {
    if (!candidate.runs) continue;
    for (int threads = 1;; threads = all) {
      std::printf("%s %s %d %.2f\n", candidate.isa, candidate.type, threads, gflops(candidate, threads, seconds));
      if (threads == all) break;
    }
  }
  return kept == 0.123 ? 1 : 0;
}
