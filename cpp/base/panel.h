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
// Lanes past the last real one exist in memory. In weights, gradients, optimiser state and transposed
// deltas they are zero; in all others they hold finite numbers without meaning.
#pragma once

#include <cstddef>
#include <cstdint>

namespace retrograd {

using Index = std::ptrdiff_t;

constexpr Index kLanes = 16;

// The division is unsigned because that makes it a single shift.
constexpr Index panels(Index lanes) { return static_cast<Index>(static_cast<std::size_t>(lanes + kLanes - 1) / kLanes); }

// The rows that a panel takes in memory. Panels whose distance is a multiple of 2 KiB would fall into
// the same sets of the L1 cache, so such heights get 8 rows more.
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

// How many of `lanes` lanes panel p holds: 1..16. Only the last panel may hold fewer than 16.
constexpr int lanes_of(Index lanes, Index p) {
  return static_cast<int>(lanes - p * kLanes < kLanes ? lanes - p * kLanes : kLanes);
}

// How many lanes panels p0..p1 hold together.
constexpr int lanes_of(Index lanes, Index p0, Index p1) {
  return static_cast<int>((lanes < p1 * kLanes ? lanes : p1 * kLanes) - p0 * kLanes);
}

// Cuts `count` things into `parts` nearly equal parts and says where part i begins. One part costs no
// division, which takes as long as the whole product of a small layer.
constexpr Index cut(Index count, Index parts, Index i) {
  return parts == 1 ? count * i : count / parts * i + count % parts * i / parts;
}

// What the user's array holds; every kind is converted while a batch is gathered.
enum class Source : int { float32 = 0, float64 = 1, uint8 = 2 };
constexpr int kSources = 3;

template <class T>
constexpr Source source_of = sizeof(T) == 4 ? Source::float32 : Source::float64;

constexpr Index source_size(Source s) { return s == Source::float32 ? 4 : s == Source::float64 ? 8 : 1; }

}  // namespace retrograd
