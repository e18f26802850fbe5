// The layout of every tensor: panels of 16 lanes. Views and sizes only; this file owns no memory and computes nothing.
//
// A matrix of R rows and C lanes is stored as [panels(C)][padded_rows(R)][16]: the 16 lanes of a row lie side by side
// (64 bytes of float32), the rows of a panel follow one another, then comes the next panel.
//
//   weights      rows = fan_in,  lanes = fan_out            (the only copy of the weights)
//   activations  rows = units,   lanes = rows of the batch
//   deltas       rows = units,   lanes = rows of the batch
//   deltas, transposed           rows = rows of the batch, lanes = units
//
// Lanes past the last real one exist in memory and hold finite numbers of no meaning, but for weights, gradients,
// optimiser state and transposed deltas: there they are zero.
#pragma once

#include <cstddef>
#include <cstdint>

namespace retrograd {

using Index = std::ptrdiff_t;

constexpr Index kLanes = 16;

// Without a sign the division is one shift.
constexpr Index panels(Index lanes) { return static_cast<Index>(static_cast<std::size_t>(lanes + kLanes - 1) / kLanes); }

// Panels whose distance is a multiple of 2 KiB would fall into the same sets of the L1 cache.
constexpr Index padded_rows(Index rows) { return rows >= 64 && rows % 32 == 0 ? rows + 8 : rows; }

// Panels [panels(lanes)][rows][16]; `rows` is the distance between panels in rows, padding included.
template <class T>
struct Panels {
  T* data = nullptr;
  Index rows = 0;

  T* panel(Index p) const { return data + p * rows * kLanes; }
  T* row(Index p, Index r) const { return data + (p * rows + r) * kLanes; }
  // The same panels seen from row r of panel p.
  Panels at(Index p, Index r) const { return {data ? row(p, r) : nullptr, rows}; }
  operator Panels<const T>() const { return {data, rows}; }
};

// What the user's array holds; every kind is converted while a batch is gathered.
enum class Source : int { float32 = 0, float64 = 1, uint8 = 2 };
constexpr int kSources = 3;

template <class T>
constexpr Source source_of = sizeof(T) == 4 ? Source::float32 : Source::float64;

// The user's rows: `cols` values side by side in each, rows `stride` bytes apart (any sign, a multiple of the value's size).
struct Rows {
  const void* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;
  Source source = Source::float32;

  const void* row(Index r) const { return static_cast<const char*>(data) + r * stride; }
};

}  // namespace retrograd
