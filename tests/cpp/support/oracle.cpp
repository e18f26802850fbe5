// The tables of the oracle, compiled once for all tests.
#include "support/oracle.h"

#include "support/oracle/activations.h"
#include "support/oracle/gradients.h"
#include "support/oracle/losses.h"
#include "support/oracle/moves.h"
#include "support/oracle/noise.h"
#include "support/oracle/norms.h"
#include "support/oracle/products.h"
#include "support/oracle/small.h"
#include "support/oracle/updates.h"

namespace retrograd::testing {

namespace oracle {
namespace {

template <class O, class T = typename O::T>
constexpr Kernels<T> table() {
  return {1,
          1,
          1,
          1,
          Products<O>::forward,
          Products<O>::forward_rows,
          Products<O>::delta,
          Products<O>::delta_rows,
          Gradients<O>::dw,
          Gradients<O>::dw_rows,
          Gradients<O>::db,
          Updates<O>::update,
          Updates<O>::squares,
          Moves<O>::transpose,
          {Moves<O>::template gather<float>, Moves<O>::template gather<double>, Moves<O>::template gather<std::uint8_t>},
          {Moves<O>::template convert<float>, Moves<O>::template convert<double>, Moves<O>::template convert<std::uint8_t>},
          {Moves<O>::template finite<float>, Moves<O>::template finite<double>, Moves<O>::template finite<std::uint8_t>},
          Activations<O>::activate,
          Activations<O>::derive,
          Losses<O>::loss,
          Small<O>::small_forward,
          Small<O>::small_backward,
          Small<O>::small_update,
          Noise<O>::drop,
          Noise<O>::add_noise,
          Norms<O>::limit_norm,
          Norms<O>::normalise_rows,
          Norms<O>::denormalise_rows,
          Norms<O>::unit_sums,
          Norms<O>::normalise_units,
          Norms<O>::denormalise_units};
}

}  // namespace
}  // namespace oracle

template <class T>
const Kernels<T>& oracle_of(const KernelTable& table) {
  static constexpr Kernels<T> fused = oracle::table<Scalar<T>>(), unfused = oracle::table<Unfused<T>>();
  return table.fused ? fused : unfused;
}

template const Kernels<float>& oracle_of(const KernelTable&);
template const Kernels<double>& oracle_of(const KernelTable&);

}  // namespace retrograd::testing
