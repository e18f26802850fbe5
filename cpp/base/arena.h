// Memory of a run: aligned, zeroed, checked for overflow, released with its owner. One arena holds many tensors.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/panel.h"

namespace retrograd {

// Sizes that do not fit are an error before anything is allocated.
inline Index checked_multiply(Index a, Index b) {
  Index product;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) || product > std::numeric_limits<Index>::max() / 64) {
    throw std::length_error("the network or batch is too large: its size overflows");
  }
  return product;
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
    if (align == huge) madvise(data_, rounded, MADV_HUGEPAGE);  // fewer misses of the address cache on large layers
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

}  // namespace retrograd
