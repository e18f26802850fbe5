// Every threshold that was measured, each with its measurement: which way a step is done, in what pieces, by how many threads.
// None of them changes a bit of a result, so each may be measured again for another machine; LEDGER.md beside this folder has
// the whole tables. What does change bits (the pieces in which squares are summed, the chains of a sum) is no choice, and
// stands where it is computed. So do the sizes of register tiles, which follow from the instruction set (kernels/tiles.h).
#pragma once

#include "base/panel.h"

namespace retrograd {

// ---------------------------------------------------------------------------------------------- threads

// One thread for each so many flops of a call, about 20 us of one core: below twice that, a second thread brings little, and it
// takes much where something else disturbs it.
constexpr double kFlopsPerThread = 1.5e6;

// Below this much work a call keeps the GIL and looks for no signal: releasing it costs more than it gives.
constexpr double kQuickFlops = 2e6;
constexpr double kQuickNumbers = 16384;  // the same for a look for NaN, a microsecond's reading

// What one unit's activation costs in a step, as multiply-add flops: a tanh takes about as long as 20 multiply-adds.
constexpr double kActivationFlops = 40;

// ---------------------------------------------------------------------------------------------- the way of a batch

// Below this many rows a panel of the batch would be mostly empty: where a hidden layer fills a panel of its own, the passes
// run with lanes = units, over rows (8-64-64-4: 1.57 times as fast at 1 row, 1.2 at 4, 0.88 to 1.01 at 7).
constexpr Index kFewRows = 6;

// A network whose layers have at most so many units is small: for a batch of one panel the passes over all layers are lists of
// calls (2-8-2 at batch 4: 381 -> 250 ns a step).
constexpr Index kSmallUnits = 64;

// The first layer reads rows where they are where panels would be a tenth empty (and the rows are long enough to pay), or
// where the gather is a large share of the layer's work; never for more rows, as dw comes back to a line of every row for
// each tile and they should stay in L1 (784-128-10 at batch 16, 20, 24, 64, 100: 1.16, 1.25, 1.19, 1.01, 1.10 times as fast;
// a batch of 256 would lose 5 %).
constexpr Index kRowsInPlace = 128;
constexpr Index kRaggedTenths = 11, kRaggedInputs = 64;
constexpr Index kLongGatherInputs = 512, kLongGatherUnits = 128;

// ---------------------------------------------------------------------------------------------- how a team shares a batch

// The units of each layer are split, not the rows, where panels of the batch would leave the members this share of their time
// to wait, and there are so many flops between two barriers for each (784-1024-1024-10 at batch 16, 2 threads: 981 -> 664 us).
constexpr Index kBusyQuarters = 3;
constexpr double kFlopsBetweenBarriers = 2 * kFlopsPerThread;

// The units of the first layer alone are split where its weights take so many bytes: each core then keeps its part of w and of
// the velocity in its own cache from step to step (784-128-10 at batch 64, 2 threads: 1.2 times as fast).
constexpr Index kSplitFirstBytes = 65536;

// ---------------------------------------------------------------------------------------------- blocks and memory

// Rows of a block of the reduction, 12 KiB of one panel (96 to 400 rows of float32: no clear change).
template <class T>
constexpr Index kKc = 768 / static_cast<Index>(sizeof(T));

// Rows of the batch in a block of dw's reduction.
template <class T>
constexpr Index kMc = 1024 / static_cast<Index>(sizeof(T));

// Tiles of w's rows that share one panel of deltas in dw: few where their sums wait in a scratch, which should stay in L1, else
// more, for longer stretches of w and v (2 to 16 instead of 64: 0.95 of the speed on Zen 3, no difference on Zen 5).
constexpr Index kSmallGroup = 16, kLargeGroup = 64;

// Tiles of the layer below in one sweep over a panel of deltas.
constexpr Index kDeltaTiles = 3;

// Sums of a few rows that wait in L1 while the deltas of a layer are taken.
constexpr Index kFewRowsRoom = 2048;

// Asking for what comes next pays from so many rows of a reduction (the next block of w), or of a batch (the next deltas).
constexpr Index kFetchRows = 128;

// Panels of a batch that go through the network together in inference: 128 rows to each use of a block of weights.
constexpr Index kSlicePanels = 8;

// A data set of more bytes may lie far away: the beginning of each row of the next batch, so many bytes of it, is asked for
// a step ahead (20-16-3 at batch 8 on a million rows: 0.82 -> 0.68 us; whole rows would push w out of L2).
constexpr Index kFarBytes = 1 << 20;
constexpr Index kFetchBytes = 256;

// Parameters and state of at most so many bytes stay in L1, or right behind it, and are not asked for ahead (64-64-10:
// 7.62 -> 7.51 us).
constexpr Index kInCacheBytes = 48 << 10;

// Bytes that a look for NaN reads between two questions whether to go on.
constexpr Index kLookBytes = 65536;

}  // namespace retrograd
