// Memory for an operand between two pages that may not be touched: a read or write past the end always
// crashes. It knows nothing of kernels.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "support/helpers.h"

namespace retrograd::testing {

// Which guard page the operand touches.
enum class Guard { behind, before };
constexpr Guard kGuards[] = {Guard::behind, Guard::before};

// Room for `capacity` values of T. An operand whose size is a multiple of 64 bytes is aligned to 64 bytes at both guards;
// any other is aligned to T alone where it touches the guard behind it.
template <class T>
class Operand {
 public:
  explicit Operand(Index capacity) {
    const Index page = static_cast<Index>(sysconf(_SC_PAGESIZE));
    const Index bytes = capacity * static_cast<Index>(sizeof(T));
    room_ = (bytes + page - 1) / page * page;
    mapped_ = static_cast<std::size_t>(room_ + 2 * page);
    void* memory = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    map_ = static_cast<char*>(memory);
    begin_ = map_ + page;
    if (mprotect(begin_, static_cast<std::size_t>(room_), PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  }
  Operand(Operand&& other) noexcept
      : map_(std::exchange(other.map_, nullptr)), begin_(other.begin_), room_(other.room_), mapped_(other.mapped_) {}
  Operand& operator=(Operand&&) = delete;
  ~Operand() {
    if (map_) munmap(map_, mapped_);
  }

  // Copies the values in, up to the guard, and fills the space on their other side.
  T* place(const T* values, Index count, Guard guard) {
    const Index bytes = count * static_cast<Index>(sizeof(T));
    if (bytes > room_) throw std::bad_alloc();
    const Index zone = std::min<Index>(kZone, room_ - bytes);
    char* start = guard == Guard::behind ? begin_ + room_ - bytes : begin_;
    filler_ = guard == Guard::behind ? start - zone : start + bytes;
    filler_bytes_ = zone;
    std::memset(filler_, kFiller, static_cast<std::size_t>(zone));
    if (bytes > 0) std::memcpy(start, values, static_cast<std::size_t>(bytes));
    return reinterpret_cast<T*>(start);
  }
  template <class A>
  T* place(const std::vector<T, A>& values, Guard guard) {
    return place(values.data(), static_cast<Index>(values.size()), guard);
  }

  // Whether the space on the other side of the operand is as it was.
  bool kept() const {
    for (Index i = 0; i < filler_bytes_; ++i) {
      if (static_cast<unsigned char>(filler_[i]) != kFiller) return false;
    }
    return true;
  }

  // An address that must not be read.
  const T* forbidden() const { return reinterpret_cast<const T*>(map_); }

 private:
  static constexpr Index kZone = 256;             // bytes
  static constexpr unsigned char kFiller = 0xff;  // NaN where it is read as a number

  char* map_ = nullptr;
  char* begin_ = nullptr;
  Index room_ = 0;
  std::size_t mapped_ = 0;
  char* filler_ = nullptr;
  Index filler_bytes_ = 0;
};

// Guarded memory for the operands of one call. The next call uses it again.
template <class T>
class Operands {
 public:
  void start(Guard guard) {
    guard_ = guard;
    used_ = 0;
    inputs_.clear();
  }
  const T* in(const Values<T>& values) {
    T* p = out(values);
    inputs_.push_back({p, &values});
    return p;
  }
  T* out(const Values<T>& values) {
    if (used_ == slots_.size()) slots_.emplace_back(kCapacity);
    return slots_[used_++].place(values, guard_);
  }
  // Whether nothing but the outputs was written.
  bool kept() const {
    for (std::size_t i = 0; i < used_; ++i) {
      if (!slots_[i].kept()) return false;
    }
    for (const auto& [p, values] : inputs_) {
      if (!values->empty() && std::memcmp(p, values->data(), values->size() * sizeof(T)) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr Index kCapacity = 48 * 1024;
  Guard guard_ = Guard::behind;
  std::size_t used_ = 0;
  std::vector<Operand<T>> slots_;
  std::vector<std::pair<const T*, const Values<T>*>> inputs_;
};

template <class T>
Operands<T>& operands(Guard guard) {
  static Operands<T> all;
  all.start(guard);
  return all;
}

// Rows of values, each of which ends at (or begins behind) a guard page of its own.
template <class S>
class GuardedRows {
 public:
  const S* place(Index i, const S* values, Index count, Guard guard) {
    while (static_cast<Index>(rows_.size()) <= i) rows_.emplace_back(1024);
    return rows_[static_cast<std::size_t>(i)].place(values, count, guard);
  }
  static GuardedRows& pool() {
    static GuardedRows all;
    return all;
  }

 private:
  std::vector<Operand<S>> rows_;
};

}  // namespace retrograd::testing
