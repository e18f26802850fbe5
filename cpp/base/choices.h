// Thresholds for how a step is done: which way, in what pieces, by how many threads. Where one figure says
// why a threshold has its value, it stands beside it; the whole tables are in LEDGER.md beside this folder.
//
// None of them changes a bit of a result, so each may be measured again for another machine. Constants
// that do change bits (the pieces in which squares are summed, the chains of a sum) are not here: they
// stand where the sum is computed. The sizes of register tiles are not here either, because they follow
// from the instruction set (kernels/tiles.h).
#pragma once

#include "base/panel.h"

namespace retrograd {

// ---------------------------------------------------------------------------------------------- threads

// The first guess is one thread for each so many flops, which is about 20 us of one core. Below twice that, a
// second thread brings little, and it costs much where something else disturbs it.
constexpr double kFlopsPerThread = 1.5e6;

// Below this much work a call keeps the GIL and looks for no signal: releasing it costs more than it gives.
constexpr double kQuickFlops = 2e6;
constexpr double kQuickNumbers = 16384;  // the same for a search for NaN: reading these takes a microsecond

// What one unit's activation costs in a step, as multiply-add flops: a tanh takes about as long as 20 multiply-adds.
constexpr double kActivationFlops = 40;

// ---------------------------------------------------------------------------------------------- the way of a batch

// Below this many rows a panel of the batch would be mostly empty. Where a hidden layer fills a panel
// of its own, the passes then run over rows, with lanes = units (8-64-64-4: 1.57 times as fast at 1
// row, 1.2 at 4, 0.88 to 1.01 at 7).
constexpr Index kFewRows = 6;

// A network is small if no layer has more than so many units. For a batch of one panel, its passes over
// all layers are lists of calls (2-8-2 at batch 4: 381 -> 250 ns a step).
constexpr Index kSmallUnits = 64;

// The first layer reads rows in place where panels would be a tenth empty (and the rows are long enough to
// pay), or where the gather is a large share of the layer's work. It never does so for more rows than this,
// because dw comes back to a line of every row for each tile and these lines should stay in L1 (784-128-10
// at batch 16, 20, 24, 64, 100: 1.16, 1.25, 1.19, 1.01, 1.10 times as fast; a batch of 256 would lose 5 %).
constexpr Index kRowsInPlace = 128;
constexpr Index kRaggedTenths = 11, kRaggedInputs = 64;
constexpr Index kLongGatherInputs = 512, kLongGatherUnits = 128;

// Where a tile lies in one panel (AVX2), long rows are read in place up to fewer rows and sums: panels are 0.98, 0.99, 1.00,
// 1.04, 1.05 times as fast as rows at batch 16, 32, 64, 80, 128 of 784-128-10, and 0.97, 1.04 at 64, 128 of 784-64-10.
constexpr Index kOnePanelRows = 64, kOnePanelSums = 4096;

// ---------------------------------------------------------------------------------------------- how a team shares a batch

// A team splits the units of each layer instead of the rows if two things hold: with panels the members
// would be busy for less than this share of their time, and each member has so many flops in a
// phase (784-1024-1024-10 at batch 16, 2 threads: 981 -> 664 us).
constexpr Index kBusyQuarters = 3;
constexpr double kFlopsOfPhase = 2 * kFlopsPerThread;

// A team splits the units of the first layer alone if its weights take so many bytes. Each core then
// keeps its part of w and of the velocity in its own cache from step to step (784-128-10 at batch 64, 2
// threads: 1.2 times as fast).
constexpr Index kSplitFirstBytes = 65536;

// ---------------------------------------------------------------------------------------------- other plans that are tried

// From so many flops on, some 10 us of one core, a team of two is tried where one thread is the first guess.
constexpr double kFlopsForTwo = kFlopsPerThread / 2;

// Few rows are tried up to so many (what one call of delta_rows takes), and the first layer by rows in place as well as by
// panels (beyond kRowsInPlace rows a batch of 256 lost 5 % where it was measured).
constexpr Index kFewRowsTried = 8, kRowsTried = 256;

// Up to so many units of the first layer it is tried whether its rows are gathered: with more, the gather is less than half
// a percent of the layer's multiply-adds.
constexpr Index kGatherCounts = 512;

// Panels are tried beside the narrow way where the levels of a network have so many units on average (with AVX2, the
// narrow way by panels: 24-48-20-3 1.4, 64 wide 1.4, 16 wide 1.7 to 1.9, 4-32-16-4 2.7 times as fast).
constexpr Index kPanelUnits = 24;

// A batch is tried in chunks where the activations and deltas of a member's rows take more than kCacheBytes, half of the
// second cache of a Zen 4; those of a chunk take half of that (AVX2: 100-70-40-3 at batch 2048 1.06 times as fast,
// 20-200-200-10 1.10, 64-128-128-8, 100-200-100-10 and 100-256-256-1 at 4096 1.19, 1.20, 1.23).
constexpr Index kCacheBytes = 1 << 19;
constexpr Index kChunkLeast = 128, kChunkMost = 512;  // a first guess

// ---------------------------------------------------------------------------------------------- blocks and memory

// Rows of a block of the reduction: 12 KiB of one panel (96 to 400 rows of float32 show no clear change).
template <class T>
constexpr Index kKc = 768 / static_cast<Index>(sizeof(T));

// Rows of the batch in a block of dw's reduction.
template <class T>
constexpr Index kMc = 1024 / static_cast<Index>(sizeof(T));

// Tiles of w's rows that share one panel of deltas in dw. There are few where their sums wait in a
// scratch, which should stay in L1; else there are more, for longer stretches of w and v (2 to 16
// instead of 64: 0.95 of the speed on Zen 3, no difference on Zen 5).
constexpr Index kSmallGroup = 16, kLargeGroup = 64;

// Tiles of the layer below that one sweep over the panels of deltas computes, where a block of the reduction is whole; there
// are more where the layer is narrower, so that as much of w is in use (3 tiles at any width: deltas of 64-64-10 take 0.72
// instead of 0.52 us, those of 8 layers of 128 take 274 instead of 268).
constexpr Index kDeltaTiles = 6;

// Room in L1 for the sums of a few rows while the deltas of a layer are computed.
constexpr Index kFewRowsRoom = 2048;

// Prefetching pays from so many rows of a reduction (for the next block of w) or of a
// batch (for the next deltas).
constexpr Index kFetchRows = 128;

// Tiles of dw in one call where the next deltas are prefetched in between (2 instead of 8: 0.985 of the speed).
constexpr Index kFetchTiles = 8;

// Panels of a batch that go through the network together in inference, so that each use of a block
// of weights serves 128 rows.
constexpr Index kSlicePanels = 8;

// A data set of more bytes than kFarBytes may lie far away in memory. The first kFetchBytes of each row
// of the next batch are then prefetched a step ahead (20-16-3 at batch 8 on a million rows: 0.82 ->
// 0.68 us; whole rows would push w out of L2).
constexpr Index kFarBytes = 1 << 20;
constexpr Index kFetchBytes = 256;

// Parameters and state of at most so many bytes stay in L1, or right behind it, and are not prefetched
// (64-64-10: 7.62 -> 7.51 us).
constexpr Index kInCacheBytes = 48 << 10;

// Bytes that a search for NaN reads before it asks again whether to go on.
constexpr Index kLookBytes = 65536;

// ---------------------------------------------------------------------------------------------- narrow networks

// A narrow network takes as many rows at once, forward, backward and into dw, as fit into kNarrowBytes with their deltas
// (4-32-16-4 at 64, 96, 128, 192, 256 rows: 730, 711, 708, 700, 702 us for 10000 rows; 16-16-16-16: 566, 551, 546, 538, 534).
constexpr Index kNarrowBytes = 192 << 10;
constexpr Index kNarrowLeast = 64, kNarrowMost = 256;

// So many pieces of gradients are shared evenly enough: with 12 of equal work a team of two or three loses nothing.
constexpr std::size_t kNarrowPieces = 12;

}  // namespace retrograd
