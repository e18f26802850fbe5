// The user's rows on their way in: gathered into panels, pointed at where they are, and checked for NaN and infinity.
#pragma once

#include "kernels/table.h"
#include "machine/parallel.h"

namespace retrograd {

// The user's rows: `cols` values side by side in each, rows `stride` bytes apart (any sign, a multiple of the value's size).
struct Rows {
  const void* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;
  Source source = Source::float32;

  const void* row(Index r) const { return static_cast<const char*>(data) + r * stride; }
};

// Rows order[start + i], or start + i where order is null.
struct Selection {
  const std::uint32_t* order = nullptr;
  Index start = 0;

  Index operator[](Index i) const { return order ? static_cast<Index>(order[start + i]) : start + i; }
};

// Batch panels p0..p1 of `batch` selected rows: out[k][lane] = x[selection[lane]][k].
template <class T>
void gather_panels(const Kernels<T>& kernels, const Rows& x, Selection selection, Index p0, Index p1, Index batch,
                   Panels<T> out);

// Pointers to the selected rows as T, for i in i0..i1: into the user's array where it holds T, else into `buffer`
// ([batch][cols]), where they are converted.
template <class T>
void point_at_rows(const Kernels<T>& kernels, const Rows& x, Selection selection, Index i0, Index i1, T* buffer, const T** out);

// Asks for the first kFetchBytes of the selected rows i0..i1 long before they are read: the hardware prefetcher cannot predict
// shuffled rows; within a row it can.
void fetch_ahead(const Rows& x, Selection selection, Index i0, Index i1);

// Whether point_at_rows reads x where it is.
template <class T>
bool holds(const Rows& x) {
  return x.source == source_of<T>;
}

// Whether every value stays finite when it is converted to T. For few rows; find_nonfinite takes a team and names the place.
template <class T>
bool all_finite(const Kernels<T>& kernels, const Rows& x);

struct Place {
  Index row = -1;
  Index col = -1;
};

// The first value that is not finite once it is converted to T, in row order; row -1 where there is none, or where the poll
// stopped the search.
template <class T>
Place find_nonfinite(const Kernels<T>& kernels, const Rows& x, Threads threads, Poll poll = {});

}  // namespace retrograd
