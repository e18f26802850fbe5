// The one kernel source, compiled once per instruction set (RG_ISA names it); it exports one constant
// table, kernels_<ISA>. It has no code of its own: each part below fills its family of the table.
//
// All of it is one translation unit in unnamed namespaces, so that no linker can take a function built for one
// instruction set in place of another's. No standard library, no allocation, no threads, no globals. The contract of each
// function is in table.h.
//
// The parts stand in the order in which a reader meets them.
// clang-format off
#include "kernels/table.h"
#include "kernels/tiles.h"
#include "kernels/activate.h"
#include "kernels/products.h"
#include "kernels/gradients.h"
#include "kernels/updates.h"
#include "kernels/moves.h"
#include "kernels/losses.h"
#include "kernels/noise.h"
#include "kernels/norms.h"
#include "kernels/small.h"
#include "kernels/narrow.h"
// clang-format on

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "retrograd needs IEEE arithmetic: build without -ffast-math"
#endif

#define RG_CONCAT_(a, b) a##b
#define RG_CONCAT(a, b) RG_CONCAT_(a, b)
#define RG_STRING_(a) #a
#define RG_STRING(a) RG_STRING_(a)

namespace retrograd {
namespace {

// The families in the order in which Kernels inherits them. Each has a type of its own, so that
// none can take another's place.
template <class T>
constexpr Kernels<T> table() {
  return {tile_sizes<T>(),     product_kernels<T>(),    gradient_kernels<T>(), update_kernels<T>(),
          move_kernels<T>(),   activation_kernels<T>(), loss_kernels<T>(),     small_kernels<T>(),
          narrow_kernels<T>(), noise_kernels<T>(),      norm_kernels<T>()};
}

}  // namespace

extern const KernelTable RG_CONCAT(kernels_, RG_ISA);
const KernelTable RG_CONCAT(kernels_, RG_ISA) = {RG_STRING(RG_ISA), kFused, table<float>(), table<double>()};

}  // namespace retrograd
