// Numbers on their way: transposing, gathering and converting the user's rows, and looking for what is
// not finite. It is a part of kernels.cpp. Nothing is computed here except the conversion between types.
#pragma once

#include "kernels/simd.h"
#include "kernels/table.h"

namespace retrograd {
namespace {

// Transposes a square of vectors, of which the first ROWS are read and the first OUT are wanted. The
// compiler drops what these do not need.
template <class T, int ROWS, int OUT>
RG_INLINE void transpose_block(Index rows, const T* src, T* dst) {
  using O = Ops<T>;
  V<T> r[O::width];
  RG_UNROLL for (int i = 0; i < O::width; ++i) { r[i] = i < ROWS && i < rows ? O::load(src + i * kLanes) : V<T>{}; }
  transpose_square<T>(r);
  RG_UNROLL for (int i = 0; i < OUT; ++i) O::store(dst + i * kLanes, r[i]);
}

template <class T>
void transpose(Index rows, Index lanes, const T* src, T* dst) {
  constexpr int width = Ops<T>::width, few_rows = width < 8 ? width : 8, few_lanes = 4;
  constexpr int wanted = width < few_lanes ? width : few_lanes;
  if (rows <= few_rows && lanes <= few_lanes) {
    for (Index g = few_rows; g < kLanes; g += width) {
      for (Index i = 0; i < lanes; ++i) Ops<T>::store(dst + i * kLanes + g, V<T>{});
    }
    for (Index h = 0; h < lanes; h += width) transpose_block<T, few_rows, wanted>(rows, src + h, dst + h * kLanes);
    return;
  }
  for (Index h = 0; h < lanes; h += width) {
    for (Index g = 0; g < kLanes; g += width) {
      transpose_block<T, width, width>(rows - g, src + g * kLanes + h, dst + h * kLanes + g);
    }
  }
}

template <class T, class S>
RG_INLINE V<T> load_as(const S* p) {
  typedef S From __attribute__((vector_size(sizeof(S) * Ops<T>::width)));
  From v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, V<T>);
}

template <class S>
RG_INLINE S load_one(const S* p) {
  S v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T, class S>
RG_INLINE void gather_vector(Index cols, int valid, const void* const* x, T* out) {
  using O = Ops<T>;
  Index k = 0;
  if (cols >= O::width) {
    const S* p[O::width];
    for (int i = 0; i < O::width; ++i) p[i] = static_cast<const S*>(i < valid ? x[i] : nullptr);
    for (; k + O::width <= cols; k += O::width) {
      V<T> r[O::width];
      RG_UNROLL for (int i = 0; i < O::width; ++i) r[i] = i < valid ? load_as<T, S>(p[i] + k) : V<T>{};
      transpose_square<T>(r);
      RG_UNROLL for (int i = 0; i < O::width; ++i) O::store(out + (k + i) * kLanes, r[i]);
    }
  }
  for (; k < cols; ++k) {
    const auto number = [=](int i) RG_LAMBDA { return static_cast<T>(load_one(static_cast<const S*>(x[i]) + k)); };
    // The column is built in registers. If it were stored number by number, a later load
    // of it as a vector would wait.
    if constexpr (O::width <= 8) {
      V<T> column{};
      RG_UNROLL for (int i = 0; i < O::width; ++i) {
        if (i < valid) column[i] = number(i);
      }
      O::store(out + k * kLanes, column);
    } else {
      O::store(out + k * kLanes, V<T>{});
      for (int i = 0; i < valid; ++i) out[k * kLanes + i] = number(i);
    }
  }
}

template <class T, class S>
void gather(Index cols, int lanes, const void* const* x, T* out) {
  constexpr int width = Ops<T>::width;
  for (int h = 0; h < lanes; h += width) {
    const int valid = lanes - h;
    if (valid >= width) {
      gather_vector<T, S>(cols, width, x + h, out + h);
    } else {
      gather_vector<T, S>(cols, valid, x + h, out + h);
    }
  }
}

template <class T, class S>
void convert(Index cols, const void* x, T* out) {
  using O = Ops<T>;
  const S* p = static_cast<const S*>(x);
  Index k = 0;
  for (; k + O::width <= cols; k += O::width) O::store(out + k, load_as<T, S>(p + k));
  for (; k < cols; ++k) out[k] = static_cast<T>(load_one(p + k));
}

template <class T, class S>
bool finite(Index count, const void* x) {
  using O = Ops<T>;
  const S* p = static_cast<const S*>(x);
  V<T> bad[4] = {};  // 0 times a number is 0 if it is finite, else NaN
  Index i = 0;
  for (; i + 4 * O::width <= count; i += 4 * O::width) {
    RG_UNROLL for (int u = 0; u < 4; ++u) bad[u] += load_as<T, S>(p + i + u * O::width) * O::set(0);
  }
  const V<T> all = (bad[0] + bad[1]) + (bad[2] + bad[3]);
  T sum = 0;
  for (int l = 0; l < O::width; ++l) sum += all[l];
  for (; i < count; ++i) sum += static_cast<T>(load_one(p + i)) * T(0);
  return sum == T(0);
}

template <class T>
constexpr Moves<T> move_kernels() {
  Moves<T> table{};
  table.transpose = transpose<T>;
  table.gather[static_cast<int>(Source::float32)] = gather<T, float>;
  table.gather[static_cast<int>(Source::float64)] = gather<T, double>;
  table.gather[static_cast<int>(Source::uint8)] = gather<T, std::uint8_t>;
  table.convert[static_cast<int>(Source::float32)] = convert<T, float>;
  table.convert[static_cast<int>(Source::float64)] = convert<T, double>;
  table.convert[static_cast<int>(Source::uint8)] = convert<T, std::uint8_t>;
  table.finite[static_cast<int>(Source::float32)] = finite<T, float>;
  table.finite[static_cast<int>(Source::float64)] = finite<T, double>;
  table.finite[static_cast<int>(Source::uint8)] = finite<T, std::uint8_t>;
  return table;
}

}  // namespace
}  // namespace retrograd
