// See rows.h.
#include "data/rows.h"

#include <algorithm>
#include <limits>

#include "machine/team.h"
#include "machine/team_choices.h"

namespace retrograd {
namespace {

// The first column of a row whose value is not finite as T, or -1.
template <class T>
Index first_nonfinite(const Kernels<T>& kernels, const Rows& x, const void* row) {
  for (Index k = 0; k < x.cols; ++k) {
    if (!kernels.finite[static_cast<int>(x.source)](1, static_cast<const char*>(row) + k * source_size(x.source))) return k;
  }
  return -1;
}

}  // namespace

template <class T>
void gather_panels(const Kernels<T>& kernels, const Rows& x, Selection selection, Index p0, Index p1, Index batch,
                   Panels<T> out) {
  const auto gather = kernels.of(kLanes).gather[static_cast<int>(x.source)];
  for (Index p = p0; p < p1; ++p) {
    const void* rows[kLanes];
    const int lanes = lanes_of(batch, p);
    for (Index i = 0; i < lanes; ++i) rows[i] = x.row(selection[p * kLanes + i]);
    gather(x.cols, lanes, rows, out.panel(p));
  }
}

template <class T>
void point_at_rows(const Kernels<T>& kernels, const Rows& x, Selection selection, Index i0, Index i1, T* buffer,
                   const T** out) {
  const bool direct = holds<T>(x);
  for (Index i = i0; i < i1; ++i) {
    const void* row = x.row(selection[i]);
    if (direct) {
      out[i] = static_cast<const T*>(row);
    } else {
      kernels.convert[static_cast<int>(x.source)](x.cols, row, buffer + i * x.cols);
      out[i] = buffer + i * x.cols;
    }
  }
}

namespace {

// `locality` is what __builtin_prefetch calls so.
template <int locality>
void fetch_rows(const Rows& x, Selection selection, Index i0, Index i1) {
  constexpr Index line = 64;
  const Index bytes = std::min(kFetchBytes, x.cols * source_size(x.source));
  for (Index i = i0; i < i1; ++i) {
    const char* row = static_cast<const char*>(x.row(selection[i]));
    for (Index k = 0; k < bytes; k += line) __builtin_prefetch(row + k, 0, locality);
  }
}

}  // namespace

void fetch_ahead(const Rows& x, Selection selection, Index i0, Index i1, Cache cache) {
  if (cache == Cache::l1) return fetch_rows<3>(x, selection, i0, i1);
  fetch_rows<2>(x, selection, i0, i1);
}

namespace {

template <class T>
bool count_within(const void* values, Index count, double low, double high) {
  const T* x = static_cast<const T*>(values);
  bool within = true;
  for (Index k = 0; k < count; ++k) within &= static_cast<double>(x[k]) >= low && static_cast<double>(x[k]) <= high;
  return within;
}

}  // namespace

bool all_within(const Rows& x, double low, double high) {
  const bool dense = x.stride == x.cols * source_size(x.source);
  const Index rows = dense ? 1 : x.rows, cols = dense ? x.rows * x.cols : x.cols;
  const auto within = x.source == Source::float32   ? count_within<float>
                      : x.source == Source::float64 ? count_within<double>
                                                    : count_within<std::uint8_t>;
  for (Index r = 0; r < rows; ++r) {
    if (!within(x.row(r), cols, low, high)) return false;
  }
  return true;
}

template <class T>
bool all_finite(const Kernels<T>& kernels, const Rows& x) {
  const auto finite = kernels.finite[static_cast<int>(x.source)];
  for (Index r = 0; r < x.rows; ++r) {
    if (!finite(x.cols, x.row(r))) return false;
  }
  return true;
}

template <class T>
Place find_nonfinite(const Kernels<T>& kernels, const Rows& x, Threads threads, Poll poll) {
  if (x.source == Source::uint8 || x.rows == 0 || x.cols == 0) return {};
  const auto finite = kernels.finite[static_cast<int>(x.source)];
  const bool dense = x.stride == x.cols * source_size(x.source);
  // Rows that lie side by side are read as one.
  const Index rows_at_once = dense ? std::max<Index>(1, kLookBytes / x.stride) : 1;
  const Index slices = (x.rows + rows_at_once - 1) / rows_at_once;
  std::atomic<Index> first_row{std::numeric_limits<Index>::max()};
  const double reading = 4.0 * static_cast<double>(x.rows) * static_cast<double>(x.cols);
  Interrupt interrupt(poll);
  static TeamChoices choices;  // of the process: all searches are alike
  TeamChoices::Turn turn(&choices, 0, reading, slices, threads);
  Team team(turn.threads());
  team.each([&](const Share& me, int number) {
    InterruptWatch watch(interrupt, number);
    for (Index s = me.begin(slices), end = me.end(slices); s < end; ++s) {
      const Index r0 = s * rows_at_once, r1 = std::min(x.rows, r0 + rows_at_once);
      if (watch.spent(static_cast<double>(4 * (r1 - r0) * x.cols))) return;
      if (finite((dense ? r1 - r0 : 1) * x.cols, x.row(r0))) continue;
      Index r = r0;
      while (r + 1 < r1 && first_nonfinite(kernels, x, x.row(r)) < 0) ++r;
      for (Index seen = first_row.load(); r < seen && !first_row.compare_exchange_weak(seen, r);) {
      }
      return;  // whatever else this member would find lies behind this row
    }
  });
  const Index row = first_row.load();
  if (row == std::numeric_limits<Index>::max() && !interrupt.stopped()) turn.end(team.was_late());
  if (row == std::numeric_limits<Index>::max()) return {};
  return {row, first_nonfinite(kernels, x, x.row(row))};
}

#define RG_INSTANTIATE(T)                                                                                 \
  template void gather_panels(const Kernels<T>&, const Rows&, Selection, Index, Index, Index, Panels<T>); \
  template void point_at_rows(const Kernels<T>&, const Rows&, Selection, Index, Index, T*, const T**);    \
  template bool all_finite(const Kernels<T>&, const Rows&);                                               \
  template Place find_nonfinite(const Kernels<T>&, const Rows&, Threads, Poll);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
