// A plan says how a step of training, or a pass of inference, is done: in which form, by how many threads, how they
// share the work, with which vectors, and how many rows at once. Every plan gives the same bits, so which one is taken
// is a question of time alone. This file lists the plans that may be the fastest, the likeliest first. It measures
// nothing and knows no clock (machine/choice.h chooses), and it runs nothing (passes.h).
#pragma once

#include <string>
#include <vector>

#include "kernels/table.h"

namespace retrograd {

// What a call is for. By hand means that the user looks at z, a and the gradients.
enum class Purpose { inference, training, by_hand };

// How the passes over a batch run. Every way gives the same bits. Without a flag they run over panels.
struct Way {
  bool first_rows = false;  // the first layer reads its rows in place, with lanes = units, instead of panels
  bool few_rows = false;    // the hidden layers run over rows too, and their deltas are rows
  bool small = false;       // the passes are lists of calls: a small network and a batch of one panel
  bool narrow = false;      // all tensors have lanes = units: a network whose layers are all narrow
};

// How a team shares a batch. Every split gives the same bits.
//
//   rows         Pieces of the batch go through all layers, up to the gradients, in one phase.
//   units        Pieces are units of a layer, over all the batch, with a phase for each layer. It is for batches
//                that do not fall into as many equal parts as there are members, and for means over the batch.
//   first_layer  Pieces are units of the first layer, then rows. The gradients of the first layer are split by the
//                same units.
enum class Split { rows, units, first_layer };

// Which table of kernels a step takes: the one in use, or on a machine with AVX-512 that of AVX2 for the whole step.
enum class Vectors { wide, half };

struct Plan {
  Way way;
  int team = 1;
  Split split = Split::rows;
  Vectors vectors = Vectors::wide;
  Index chunk = 0;  // rows of the batch that are worked through at once; 0: all of them
};

bool operator==(const Plan& a, const Plan& b);

// The plan in words: "first layer by rows, 2 threads by rows of the batch, 256 rows at a time".
std::string describe(const Plan& plan);

// What of a network decides how a step is done (Network::shape).
struct Shape {
  std::vector<Index> sizes;  // the inputs, then the units of each layer
  Index bytes = 4;           // of a number
  double flops_per_row = 0;  // of a step of training
  bool perturbs = false;     // training changes what a layer reads: dropout or noise anywhere
  bool perturbs_inputs = false;
  bool normalises = false;
  bool normalises_batch = false;

  Index depth() const { return static_cast<Index>(sizes.size()) - 1; }
  Index inputs() const { return sizes.front(); }
  Index outputs() const { return sizes.back(); }
};

// An order, for tables; it has no meaning.
bool operator<(const Shape& a, const Shape& b);

// Whether there are vectors of half the length with the same bits beside those in use. They are as fast where the CPU
// runs the long ones in two halves.
enum class HalfVectors { none, slower, as_fast };

// What the machine and the call allow.
struct Limits {
  int threads = 1;
  bool exactly = false;  // a team of just so many threads, whatever the work; only tests ask for it
  TileSizes tiles{};
  HalfVectors half = HalfVectors::none;
};

bool operator<(const Limits& a, const Limits& b);

// The limits of a call that takes these kernels.
template <class T>
Limits limits_of(const Kernels<T>& kernels, int threads) {
  Limits limits;
  limits.threads = threads;
  limits.tiles = kernels;
  if (kernels.for_few_lanes) limits.half = kernels.few_lanes < kernels.width ? HalfVectors::slower : HalfVectors::as_fast;
  return limits;
}

// There are never more candidates than this: each one costs steps to try.
constexpr std::size_t kMostCandidates = 6;

// The plans for a step of training that may be the fastest, the likeliest first; at least one. None is listed that is known
// to take more than one and a half times as long as another. Where a team is listed, so is one thread (unless `exactly` asks
// for the team).
std::vector<Plan> candidates(const Shape& shape, Index batch, Source source, const Limits& limits);

// The first guesses, which candidates() begins with: the way of a batch, and how a team shares it.
Way likely_way(const Shape& shape, Index batch, Purpose purpose, const TileSizes& tiles);
Split likely_split(const Shape& shape, const Way& way, Index batch, int team, bool exactly, const TileSizes& tiles);

// Whether the narrow way can take such a network: no layer has more than kSmallUnits units, inputs included, and
// training neither perturbs nor normalises.
bool is_narrow(const Shape& shape);

}  // namespace retrograd
