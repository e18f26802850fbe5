// Memory of the core's arrays: aligned, zeroed, checked for overflow, and released with its owner. One
// arena holds many tensors. Nothing here knows what the numbers mean.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/panel.h"

namespace retrograd {

// Sizes that do not fit throw std::length_error before anything is allocated.
inline Index checked_multiply(Index a, Index b) {
  Index product;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) || product > std::numeric_limits<Index>::max() / 64) {
    throw std::length_error("the network or batch is too large: its size overflows");
  }
  return product;
}

inline Index checked_add(Index a, Index b) {
  if (a > std::numeric_limits<Index>::max() / 64 - b)
    throw std::length_error("the network or batch is too large: its size overflows");
  return a + b;
}

// The same as panels(lanes), but it throws where rounding up would overflow.
inline Index checked_panels(Index lanes) {
  checked_add(lanes, kLanes);
  return panels(lanes);
}

template <class T>
class Arena {
 public:
  Arena() = default;
  explicit Arena(Index count) : count_(count) {
    if (count == 0) return;
    constexpr std::size_t line = 64, huge = std::size_t{2} << 20;
    const std::size_t bytes = static_cast<std::size_t>(checked_multiply(count, static_cast<Index>(sizeof(T))));
    const std::size_t align = bytes >= 2 * huge ? huge : line;
    const std::size_t rounded = (bytes + align - 1) / align * align;
    data_ = static_cast<T*>(std::aligned_alloc(align, rounded));
    if (!data_) throw std::bad_alloc();
    // Huge pages mean fewer misses of the address cache on large layers.
    if (align == huge) madvise(data_, rounded, MADV_HUGEPAGE);
    std::memset(static_cast<void*>(data_), 0, rounded);
  }
  Arena(Arena&& other) noexcept : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  Arena& operator=(Arena&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~Arena() { std::free(data_); }

  T* data() const { return data_; }
  Index size() const { return count_; }
  void clear() {
    if (data_) std::memset(static_cast<void*>(data_), 0, static_cast<std::size_t>(count_) * sizeof(T));
  }

 private:
  T* data_ = nullptr;
  Index count_ = 0;
};

// Hands out consecutive parts of one arena: panels_of() names each part, then make() allocates them all.
template <class T>
class ArenaPlan {
 public:
  void panels_of(Panels<T>& view, Index count, Index rows) {
    parts_.push_back({&view, total_});
    view.rows = rows;
    total_ = checked_add(total_, checked_multiply(checked_multiply(count, rows), kLanes));
  }
  Arena<T> make() {
    Arena<T> arena(total_);
    for (const Place& place : parts_) place.view->data = arena.data() + place.offset;
    return arena;
  }

 private:
  struct Place {
    Panels<T>* view;
    Index offset;
  };
  std::vector<Place> parts_;
  Index total_ = 0;
};

}  // namespace retrograd
