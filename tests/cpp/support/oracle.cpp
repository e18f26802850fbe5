// The tables of the oracle, compiled once for all tests.
#include "support/oracle.h"

#include "support/oracle/activations.h"
#include "support/oracle/gradients.h"
#include "support/oracle/losses.h"
#include "support/oracle/moves.h"
#include "support/oracle/narrow.h"
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
  Kernels<T> t{};
  t.width = t.mr = t.group = t.row_group = 1;
  t.forward = Products<O>::forward;
  t.forward_rows = Products<O>::forward_rows;
  t.delta = Products<O>::delta;
  t.delta_rows = Products<O>::delta_rows;
  t.dw = Gradients<O>::dw;
  t.dw_rows = Gradients<O>::dw_rows;
  t.db = Gradients<O>::db;
  t.update = Updates<O>::update;
  t.squares = Updates<O>::squares;
  t.blend = Updates<O>::blend;
  t.transpose = Moves<O>::transpose;
  t.activate = Activations<O>::activate;
  t.derive = Activations<O>::derive;
  t.loss = Losses<O>::loss;
  t.small_forward = Small<O>::small_forward;
  t.small_backward = Small<O>::small_backward;
  t.small_update = Small<O>::small_update;
  t.narrow_forward = Narrow<O>::narrow_forward;
  t.narrow_delta = Narrow<O>::narrow_delta;
  t.narrow_dw = Narrow<O>::narrow_dw;
  t.db_part = Narrow<O>::db_part;
  t.narrow_rows[static_cast<int>(Source::float32)] = Narrow<O>::template narrow_rows<float>;
  t.narrow_rows[static_cast<int>(Source::float64)] = Narrow<O>::template narrow_rows<double>;
  t.narrow_rows[static_cast<int>(Source::uint8)] = Narrow<O>::template narrow_rows<std::uint8_t>;
  t.drop = Noise<O>::drop;
  t.add_noise = Noise<O>::add_noise;
  t.blocks = Noise<O>::blocks;
  t.limit_norm = Norms<O>::limit_norm;
  t.normalise_rows = Norms<O>::normalise_rows;
  t.denormalise_rows = Norms<O>::denormalise_rows;
  t.unit_sums = Norms<O>::unit_sums;
  t.normalise_units = Norms<O>::normalise_units;
  t.denormalise_units = Norms<O>::denormalise_units;
  t.gather[static_cast<int>(Source::float32)] = Moves<O>::template gather<float>;
  t.gather[static_cast<int>(Source::float64)] = Moves<O>::template gather<double>;
  t.gather[static_cast<int>(Source::uint8)] = Moves<O>::template gather<std::uint8_t>;
  t.convert[static_cast<int>(Source::float32)] = Moves<O>::template convert<float>;
  t.convert[static_cast<int>(Source::float64)] = Moves<O>::template convert<double>;
  t.convert[static_cast<int>(Source::uint8)] = Moves<O>::template convert<std::uint8_t>;
  t.finite[static_cast<int>(Source::float32)] = Moves<O>::template finite<float>;
  t.finite[static_cast<int>(Source::float64)] = Moves<O>::template finite<double>;
  t.finite[static_cast<int>(Source::uint8)] = Moves<O>::template finite<std::uint8_t>;
  return t;
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
