// Activations and their derivatives on every table: the bits of the oracle, and by what each of them means. The errors of the
// functions themselves are measured by base/elementary.cpp.
#include "support/pairs.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

template <class T>
Values<T> awkward_values() {
  using Limits = std::numeric_limits<T>;
  Values<T> values;
  for (const T v : {T(0), Limits::denorm_min(), Limits::min(), Limits::epsilon(), T(0.25), T(1), T(15), T(87.5), T(89.5),
                    T(104.5), T(709.5), T(745.5), Limits::max(), infinity<T>()}) {
    values.push_back(v);
    values.push_back(-v);
  }
  values.push_back(nan<T>());
  return values;
}

// Makes `call(kernels, d, a)` on both sides; it writes d and reads a.
template <class T, class Call>
void check_elementwise(const Pair<T>& pair, const Values<T>& d0, const Values<T>& a, int lanes, Call call,
                       Description describe) {
  Values<T> d = d0;
  call(pair.oracle, d.data(), a.data());
  for (const Guard guard : kGuards) {
    Operands<T>& memory = operands<T>(guard);
    T* got = memory.out(d0);
    call(pair.kernels, got, memory.in(a));
    expect_panel(pair, got, d, lanes, describe);
    expect_kept(pair, memory, describe);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("activate and derive: every activation, every shape, awkward values", T, float, double) {
  Dice dice(16);
  const Values<T> awkward = awkward_values<T>();
  std::vector<Activation> activations(std::begin(kEveryActivation), std::end(kEveryActivation));
  activations.push_back(Activation::softmax);
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Activation f : activations) {
      for (const Index units : sizes_to(35)) {
        for (const Index size : sizes_to(kLanes)) {
          const int lanes = static_cast<int>(size);
          for (const bool plain : {true, false}) {
            Values<T> z = dice.numbers<T>(units * kLanes);
            for (T& v : z) v = plain ? v * T(4) : awkward[static_cast<std::size_t>(dice.below(count_of(awkward)))];
            const Values<T> d = dice.numbers<T>(units * kLanes), a = z;
            check_elementwise(
                pair, z, a, lanes, [&](const Kernels<T>& k, T* out, const T*) { k.activate(units, lanes, out, f); },
                [&] { return words("activate", f) + words(" units, lanes", units, lanes); });
            check_elementwise(
                pair, d, a, lanes, [&](const Kernels<T>& k, T* out, const T* y) { k.derive(units, lanes, out, y, f); },
                [&] { return words("derive", f) + words(" units, lanes", units, lanes); });
          }
        }
      }
    }
  }
}

// Each activation against what it means, because the oracle might have the same fault.
TEST_CASE_TEMPLATE("activate: a NaN passes through, infinities go where they belong", T, float, double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CAPTURE(pair.name);
    const T inf = infinity<T>();
    const auto of = [&](Activation f, T z) {
      alignas(64) T row[kLanes] = {z};
      pair.kernels.activate(1, 1, row, f);
      return row[0];
    };
    for (const Activation f : kEveryActivation) {
      CAPTURE(text(f));
      CHECK(std::isnan(of(f, nan<T>())));
    }
    CHECK(of(Activation::identity, -inf) == -inf);
    CHECK(of(Activation::relu, inf) == inf);
    CHECK(of(Activation::relu, -inf) == T(0));
    CHECK(of(Activation::leaky_relu, inf) == inf);
    CHECK(of(Activation::leaky_relu, -inf) == -inf);
    CHECK(of(Activation::leaky_relu, T(-2)) == T(-2) * static_cast<T>(0.01));
    CHECK(of(Activation::tanh, inf) == T(1));
    CHECK(of(Activation::tanh, -inf) == T(-1));
    CHECK(of(Activation::sigmoid, inf) == T(1));
    CHECK(of(Activation::sigmoid, -inf) == T(0));
    CHECK(of(Activation::elu, -inf) == T(-1));
    CHECK(of(Activation::selu, -inf) == static_cast<T>(-kSeluScale * kSeluAlpha));
    CHECK(of(Activation::softsign, inf) == T(1));
    CHECK(of(Activation::softsign, -inf) == T(-1));
    for (const Activation f : {Activation::elu, Activation::selu, Activation::softplus, Activation::exponential,
                               Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::mish}) {
      CAPTURE(text(f));
      CHECK(of(f, inf) == inf);
      CHECK(of(f, -inf) <= T(0));
      CHECK(of(f, -inf) >= T(-2));
      CHECK(of(f, T(0)) == (f == Activation::softplus      ? static_cast<T>(0.69314718055994530942)
                            : f == Activation::exponential ? T(1)
                                                           : T(0)));
    }
    for (const Activation f : {Activation::softplus, Activation::exponential, Activation::gelu, Activation::gelu_tanh,
                               Activation::silu, Activation::mish}) {
      CAPTURE(text(f));
      CHECK(of(f, -inf) == T(0));
      CHECK(of(f, -std::numeric_limits<T>::max()) == T(0));
    }
    // At either end f' must be a number.
    const auto slope = [&](Activation f, T z) {
      alignas(64) T d[kLanes] = {T(1)}, from[kLanes] = {derived_from_z(f) ? z : of(f, z)};
      pair.kernels.derive(1, 1, d, from, f);
      return d[0];
    };
    for (const Activation f :
         {Activation::elu, Activation::softplus, Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::mish}) {
      CAPTURE(text(f));
      for (const T far : {inf, std::numeric_limits<T>::max(), T(1000)}) {
        CHECK(slope(f, far) == T(1));
        CHECK(slope(f, -far) == T(0));
      }
      if (derived_from_z(f)) CHECK(std::isnan(slope(f, nan<T>())));
    }
    CHECK(slope(Activation::softsign, inf) == T(0));
    CHECK(slope(Activation::selu, inf) == static_cast<T>(kSeluScale));

    for (Index units = 1; units <= 5; ++units) {
      for (Index bad = 0; bad < units; ++bad) {
        alignas(64) T a[5 * kLanes] = {};
        a[bad * kLanes + 1] = nan<T>();
        pair.kernels.activate(units, 3, a, Activation::softmax);
        for (Index j = 0; j < units; ++j) {
          CHECK(a[j * kLanes] == T(1) / static_cast<T>(units));
          CHECK(std::isnan(a[j * kLanes + 1]));
          CHECK(a[j * kLanes + 2] == T(1) / static_cast<T>(units));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("derive: a NaN among gradients or activations is not lost", T, float, double) {
  for (const Pair<T>& pair : pairs<T>()) {
    CAPTURE(pair.name);
    for (const Activation f : kEveryActivation) {
      CAPTURE(text(f));
      alignas(64) T d[kLanes] = {nan<T>(), T(2), nan<T>()}, a[kLanes] = {T(0.5), T(0.5), T(0.25)};
      pair.kernels.derive(1, 3, d, a, f);
      CHECK(std::isnan(d[0]));
      CHECK_FALSE(std::isnan(d[1]));
      CHECK(std::isnan(d[2]));
    }
  }
}
