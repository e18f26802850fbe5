// What the tests of kernels share, compiled once for all of them.
#include "support/pairs.h"

namespace retrograd::testing {

template <class T>
Pair<T> pair_of(const KernelTable& table, const Kernels<T>& oracle) {
  const std::string isa = table.isa;
  const int bytes = isa == "avx2" ? 32 : isa == "baseline" || isa == "neon" ? 16 : 64;  // avx512, halves
  return {kernels_of<T>(table), oracle, isa + (sizeof(T) == 4 ? " float32" : " float64"), bytes / static_cast<int>(sizeof(T))};
}

template <class T>
std::vector<Pair<T>> pairs() {
  std::vector<Pair<T>> list;
  for (const KernelTable* table : tested_tables()) {
    Pair<T> pair = pair_of<T>(*table, oracle_of<T>(*table));
    for (const Pair<T>& before : list) pair.first = pair.first && &before.oracle != &pair.oracle;
    list.push_back(std::move(pair));
  }
  return list;
}

template <class T>
Values<T> panel(Dice& dice, Index rows, Index lanes) {
  Values<T> values(static_cast<std::size_t>(rows * kLanes), nan<T>());
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < lanes; ++i) values[static_cast<std::size_t>(r * kLanes + i)] = dice.number<T>();
  }
  return values;
}

template <class T>
Values<T> panels_apart(Dice& dice, Index rows, Index n, Index jump) {
  Values<T> values(static_cast<std::size_t>((panels(n) - 1) * jump + rows * kLanes), nan<T>());
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < n; ++i)
      values[static_cast<std::size_t>(i / kLanes * jump + r * kLanes + i % kLanes)] = dice.number<T>();
  }
  return values;
}

template <class T>
void expect_panel(const Pair<T>& pair, const T* got, const Values<T>& want, int lanes, Description describe) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    const int lane = static_cast<int>(i % kLanes);
    if (lane >= lanes && lane < pair.written(lanes)) continue;
    if (!same(got[i], want[i])) {
      FAIL(pair.name << ": " << describe() << ": row " << i / kLanes << " lane " << lane << " of " << lanes << ": got "
                     << got[i] << ", expected " << want[i] << std::string(lane < lanes ? "" : " (not to be touched)"));
    }
  }
}

template <class T>
void expect_values(const Pair<T>& pair, const T* got, const Values<T>& want, Description describe) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (!same(got[i], want[i])) {
      FAIL(pair.name << ": " << describe() << ": value " << i << ": got " << got[i] << ", expected " << want[i]);
    }
  }
}

template <class T>
void expect_kept(const Pair<T>& pair, const Operands<T>& memory, Description describe) {
  if (!memory.kept()) FAIL(pair.name << ": " << describe() << ": an input or the memory beside an operand was written");
}

std::vector<Index> reductions() {
  std::vector<Index> sizes = sizes_to(65);
  if (!few_sizes()) sizes.insert(sizes.end(), {127, 193, 257});
  return sizes;
}

std::vector<Index> heights() {
  std::vector<Index> rows = sizes_to(19);
  rows.push_back(37);
  return rows;
}

template Pair<float> pair_of(const KernelTable&, const Kernels<float>&);
template std::vector<Pair<float>> pairs();
template Values<float> panel(Dice&, Index, Index);
template Values<float> panels_apart(Dice&, Index, Index, Index);
template void expect_panel(const Pair<float>&, const float*, const Values<float>&, int, Description);
template void expect_values(const Pair<float>&, const float*, const Values<float>&, Description);
template void expect_kept(const Pair<float>&, const Operands<float>&, Description);
template Pair<double> pair_of(const KernelTable&, const Kernels<double>&);
template std::vector<Pair<double>> pairs();
template Values<double> panel(Dice&, Index, Index);
template Values<double> panels_apart(Dice&, Index, Index, Index);
template void expect_panel(const Pair<double>&, const double*, const Values<double>&, int, Description);
template void expect_values(const Pair<double>&, const double*, const Values<double>&, Description);
template void expect_kept(const Pair<double>&, const Operands<double>&, Description);

}  // namespace retrograd::testing
