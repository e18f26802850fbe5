// What the tests share: input numbers, sizes to try, comparison to the last bit. There is no test
// here, and nothing about kernels.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "kernels/dispatch.h"

namespace retrograd::testing {

// Sanitizers and emulators take minutes where a machine takes seconds.
#if defined(RETROGRAD_SANITIZED) || defined(RETROGRAD_EMULATED)
constexpr bool kSlow = true;
#else
constexpr bool kSlow = false;
#endif

// RETROGRAD_TEST_SIZES=few (or all) decides; where it is not set, sizes are few where tests are slow.
inline bool few_sizes() {
  if (const char* wish = std::getenv("RETROGRAD_TEST_SIZES")) return std::string(wish) == "few";
  return kSlow;
}

// With RETROGRAD_TEST_LONG=1 everything is tried of which otherwise only a part is.
inline bool long_tier() {
  const char* wish = std::getenv("RETROGRAD_TEST_LONG");
  return wish && std::string(wish) == "1";
}

inline std::vector<Index> sizes_to(Index last) {
  std::vector<Index> sizes;
  for (const Index i : {1, 2, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65}) {
    if (few_sizes() && i <= last) sizes.push_back(i);
  }
  for (Index i = 1; !few_sizes() && i <= last; ++i) sizes.push_back(i);
  return sizes;
}

// Values whose first one lies on a line of 64 bytes, as the contract of panels wants it.
template <class T>
struct OnLines {
  using value_type = T;
  OnLines() = default;
  template <class U>
  OnLines(const OnLines<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, std::align_val_t(64)); }
  template <class U>
  bool operator==(const OnLines<U>&) const {
    return true;
  }
  template <class U>
  bool operator!=(const OnLines<U>&) const {
    return false;
  }
};
template <class T>
using Values = std::vector<T, OnLines<T>>;

// Numbers in [-1, 1) with all their bits, by splitmix64, so that tests do not depend on
// the library's own generator.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t word() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  Index below(Index n) { return static_cast<Index>(word() % static_cast<std::uint64_t>(n)); }
  template <class T>
  T number() {
    return static_cast<T>(static_cast<double>(static_cast<std::int64_t>(word())) * 0x1p-63);
  }
  template <class T>
  Values<T> numbers(Index count) {
    Values<T> values(static_cast<std::size_t>(count));
    for (T& v : values) v = number<T>();
    return values;
  }

 private:
  std::uint64_t state_;
};

// Equal to the last bit; a NaN is equal to any other.
template <class T>
bool same(T a, T b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

template <class T, class A>
bool same(const std::vector<T, A>& a, const std::vector<T, A>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](T x, T y) { return same(x, y); });
}

template <class T>
constexpr T nan() {
  return std::numeric_limits<T>::quiet_NaN();
}
template <class T>
constexpr T infinity() {
  return std::numeric_limits<T>::infinity();
}

// The library's source kind for an array of S.
template <class S>
constexpr Source source_kind = sizeof(S) == 4   ? Source::float32
                               : sizeof(S) == 8 ? Source::float64
                                                : Source::uint8;

inline std::string text(Index i) { return std::to_string(i); }
inline std::string text(int i) { return std::to_string(i); }
inline std::string text(bool b) { return b ? "true" : "false"; }
inline std::string text(Activation f) { return facts_of(f).name; }
inline std::string text(Loss l) { return facts_of(l).name; }

template <class... A>
std::string words(const char* what, const A&... values) {
  std::string all = what;
  ((all += " " + text(values)), ...);
  return all;
}

}  // namespace retrograd::testing
