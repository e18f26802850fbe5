// The user's rows on their way in: they are gathered into panels, or pointed at where they are, and
// checked for NaN and infinity. Python's arrays are not known here (bindings/arrays.h).
#pragma once

#include "kernels/table.h"
#include "machine/parallel.h"

namespace retrograd {

// The user's rows: each has `cols` values side by side, and they lie `stride` bytes apart (of any sign,
// a multiple of the value's size).
struct Rows {
  const void* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;
  Source source = Source::float32;

  const void* row(Index r) const { return static_cast<const char*>(data) + r * stride; }
};

// Selects rows order[start + i], or start + i where order is null.
struct Selection {
  const std::uint32_t* order = nullptr;
  Index start = 0;

  Index operator[](Index i) const { return order ? static_cast<Index>(order[start + i]) : start + i; }
};

// Gathers batch panels p0..p1 of `batch` selected rows: out[k][lane] = x[selection[lane]][k].
template <class T>
void gather_panels(const Kernels<T>& kernels, const Rows& x, Selection selection, Index p0, Index p1, Index batch,
                   Panels<T> out);

// Writes pointers to the selected rows as T, for i in i0..i1. They point into the user's array where it
// holds T, else into `buffer` ([batch][cols]), to which the rows are converted.
template <class T>
void point_at_rows(const Kernels<T>& kernels, const Rows& x, Selection selection, Index i0, Index i1, T* buffer, const T** out);

// Where prefetched rows are to wait until they are read.
enum class Cache { l1, l2 };

// Prefetches the first kFetchBytes of the selected rows i0..i1 long before they are read. The hardware
// prefetcher cannot predict shuffled rows; within a row it can.
void fetch_ahead(const Rows& x, Selection selection, Index i0, Index i1, Cache cache = Cache::l1);

// Whether point_at_rows reads x where it is.
template <class T>
bool holds(const Rows& x) {
  return x.source == source_of<T>;
}

// Whether every value stays finite when it is converted to T. It is meant for few rows; find_nonfinite
// takes a team and names the place.
template <class T>
bool all_finite(const Kernels<T>& kernels, const Rows& x);

// Whether every value lies from low to high; NaN does not.
bool all_within(const Rows& x, double low, double high);

struct Place {
  Index row = -1;
  Index col = -1;
};

// The first value, in row order, that is not finite once it is converted to T. The row is -1 where
// there is none, or where the poll stopped the search.
template <class T>
Place find_nonfinite(const Kernels<T>& kernels, const Rows& x, Threads threads, Poll poll = {});

}  // namespace retrograd
