// A kernel under test with its oracle: the operands, and what is compared after a call of
// both. There is no test here.
#pragma once

#include "support/guarded.h"
#include "support/tables.h"

namespace retrograd::testing {

constexpr Activation kEveryActivation[] = {
    Activation::identity, Activation::relu,      Activation::leaky_relu, Activation::tanh,     Activation::sigmoid,
    Activation::elu,      Activation::selu,      Activation::softplus,   Activation::softsign, Activation::exponential,
    Activation::gelu,     Activation::gelu_tanh, Activation::silu,       Activation::mish};
constexpr Index kActivationCount = sizeof kEveryActivation / sizeof kEveryActivation[0];

// Kernels under test, and those whose results they must give.
template <class T>
struct Pair {
  const Kernels<T>& kernels;
  const Kernels<T>& oracle;
  std::string name;
  int width;          // lanes of a vector that a call may write
  bool first = true;  // the first one with this oracle: in its turn, the oracle itself is compared with formulas

  // A kernel may write the whole of a vector that holds a valid lane.
  int written(int lanes) const { return (lanes + width - 1) / width * width; }
};

template <class T>
Pair<T> pair_of(const KernelTable& table, const Kernels<T>& oracle);

template <class T>
std::vector<Pair<T>> pairs();

// One panel; where the next one would lie must not matter.
template <class T>
Panels<T> one(T* p) {
  return {p, 1 << 20};
}

// [rows][16] with numbers in the first `lanes` lanes; the others must not matter.
template <class T>
Values<T> panel(Dice& dice, Index rows, Index lanes);

// `rows` rows from panels that lie `jump` values apart and hold n lanes together, with
// nothing behind the last row.
template <class T>
Values<T> panels_apart(Dice& dice, Index rows, Index n, Index jump);

// Describes what is compared. The words are only made where a comparison fails.
class Description {
 public:
  template <class F>
  Description(const F& make) : make_(&make), call_([](const void* f) { return (*static_cast<const F*>(f))(); }) {}
  std::string operator()() const { return call_(make_); }

 private:
  const void* make_;
  std::string (*call_)(const void*);
};

// The test case ends at the first difference, because thousands of them would be unreadable.
template <class T>
void expect_panel(const Pair<T>& pair, const T* got, const Values<T>& want, int lanes, Description describe);

template <class T>
void expect_values(const Pair<T>& pair, const T* got, const Values<T>& want, Description describe);

template <class T>
void expect_kept(const Pair<T>& pair, const Operands<T>& memory, Description describe);

template <class T>
Index count_of(const Values<T>& values) {
  return static_cast<Index>(values.size());
}

std::vector<Index> reductions();

// x[r][offset + i] in separate rows, each at a guard page.
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

// Rows of a block of weights: the height of a panel, or whatever loops over tiles make of it.
std::vector<Index> heights();

}  // namespace retrograd::testing
