// The operations that base/elementary.h asks for, on a single number, with the library's fma (which
// rounds once on every machine, if slowly on some). They serve numbers that are drawn once and the
// oracle of the C++ tests; kernels never use them.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>

#include "base/elementary.h"

namespace retrograd {

template <class T_>
struct Scalar {
  using T = T_;
  using V = T;
  using U = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  static V set(double x) { return static_cast<T>(x); }
  static V fma(V a, V b, V c) { return std::fma(a, b, c); }
  static V sqrt(V x) { return std::sqrt(x); }
  static V select(bool m, V a, V b) { return m ? a : b; }
  static V at_most(V x, V limit) { return x > limit ? limit : x; }
  static V at_least(V x, V limit) { return x < limit ? limit : x; }
  static U bits(V v) {
    U u;
    std::memcpy(&u, &v, sizeof u);
    return u;
  }
  static V from_bits(U u) {
    V v;
    std::memcpy(&v, &u, sizeof v);
    return v;
  }
};

}  // namespace retrograd
