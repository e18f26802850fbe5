// A kernel under test and the oracle beside it: operands, and what is compared after a call of both. No test.
#pragma once

#include "support/guarded.h"
#include "support/tables.h"

namespace retrograd::testing {

constexpr Activation kEveryActivation[] = {
    Activation::identity, Activation::relu,      Activation::leaky_relu, Activation::tanh,     Activation::sigmoid,
    Activation::elu,      Activation::selu,      Activation::softplus,   Activation::softsign, Activation::exponential,
    Activation::gelu,     Activation::gelu_tanh, Activation::silu,       Activation::mish};
constexpr Index kActivationCount = sizeof kEveryActivation / sizeof kEveryActivation[0];

// Kernels under test, and those that say what must come out.
template <class T>
struct Pair {
  const Kernels<T>& kernels;
  const Kernels<T>& oracle;
  std::string name;
  int width;          // lanes of a vector that a call may write
  bool first = true;  // of those with this oracle: while it has its turn, the oracle itself is held against formulas

  // A kernel may write the whole of a vector that holds a valid lane.
  int written(int lanes) const { return (lanes + width - 1) / width * width; }
};

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

// One panel: where the next one would lie must not matter.
template <class T>
Panels<T> one(T* p) {
  return {p, 1 << 20};
}

// [rows][16] with numbers in the first `lanes` lanes; the others must not matter.
template <class T>
Values<T> panel(Dice& dice, Index rows, Index lanes) {
  Values<T> values(static_cast<std::size_t>(rows * kLanes), nan<T>());
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < lanes; ++i) values[static_cast<std::size_t>(r * kLanes + i)] = dice.number<T>();
  }
  return values;
}

// `rows` rows out of panels that lie `jump` values apart and hold n lanes together; nothing behind the last row.
template <class T>
Values<T> panels_apart(Dice& dice, Index rows, Index n, Index jump) {
  Values<T> values(static_cast<std::size_t>((panels(n) - 1) * jump + rows * kLanes), nan<T>());
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < n; ++i)
      values[static_cast<std::size_t>(i / kLanes * jump + r * kLanes + i % kLanes)] = dice.number<T>();
  }
  return values;
}

// The test case ends at the first difference: one is enough to know, thousands are none to read.
template <class T, class Describe>
void expect_panel(const Pair<T>& pair, const T* got, const Values<T>& want, int lanes, Describe describe) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    const int lane = static_cast<int>(i % kLanes);
    if (lane >= lanes && lane < pair.written(lanes)) continue;
    if (!same(got[i], want[i])) {
      FAIL(pair.name << ": " << describe() << ": row " << i / kLanes << " lane " << lane << " of " << lanes << ": got "
                     << got[i] << ", expected " << want[i] << std::string(lane < lanes ? "" : " (not to be touched)"));
    }
  }
}

template <class T, class Describe>
void expect_values(const Pair<T>& pair, const T* got, const Values<T>& want, Describe describe) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (!same(got[i], want[i])) {
      FAIL(pair.name << ": " << describe() << ": value " << i << ": got " << got[i] << ", expected " << want[i]);
    }
  }
}

template <class T, class Describe>
void expect_kept(const Pair<T>& pair, const Operands<T>& memory, Describe describe) {
  if (!memory.kept()) FAIL(pair.name << ": " << describe() << ": an input or the memory beside an operand was written");
}

template <class T>
Index count_of(const Values<T>& values) {
  return static_cast<Index>(values.size());
}

inline std::vector<Index> reductions() {
  std::vector<Index> sizes = sizes_to(65);
  if (!few_sizes()) sizes.insert(sizes.end(), {127, 193, 257});
  return sizes;
}

// x[r][offset + i] in rows of their own, each at a guard page.
template <class T>
struct UserRows {
  Index count, cols;
  Values<T> values;
  std::vector<const T*> pointers;

  UserRows(Dice& dice, Index count_, Index cols_) : count(count_), cols(cols_), values(dice.numbers<T>(count_ * cols_)) {}
  const T* row(Index r) const { return values.data() + r * cols; }

  const T* const* place(Guard guard) {
    pointers.clear();
    for (Index r = 0; r < count; ++r) pointers.push_back(GuardedRows<T>::pool().place(r, row(r), cols, guard));
    static Operand<const T*> list(1024);
    return list.place(pointers, guard);
  }
  bool kept() const {
    for (Index r = 0; r < count; ++r) {
      if (std::memcmp(pointers[static_cast<std::size_t>(r)], row(r), static_cast<std::size_t>(cols) * sizeof(T)) != 0)
        return false;
    }
    return true;
  }
  // The same as a panel: [cols][16], lanes = rows.
  Values<T> gathered() const {
    Values<T> panel(static_cast<std::size_t>(cols * kLanes), nan<T>());
    for (Index r = 0; r < count; ++r) {
      for (Index k = 0; k < cols; ++k) panel[static_cast<std::size_t>(k * kLanes + r)] = row(r)[k];
    }
    return panel;
  }
};

// Rows of a block of weights: those of a panel's height, and what loops over tiles make of it.
inline std::vector<Index> heights() {
  std::vector<Index> rows = sizes_to(19);
  rows.push_back(37);
  return rows;
}

}  // namespace retrograd::testing
