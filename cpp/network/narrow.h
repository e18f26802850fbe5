// The narrow way: the passes over networks all of whose layers have at most kSmallUnits units, inputs included, with lanes =
// units in every tensor. A batch is done in chunks of rows, each forward, backward and into the gradients while it lies in
// the cache; the sums of a chunk go on from those of the one before, so that every element of dw stays one chain and db
// keeps its four.
//
// Nothing here starts a thread or waits for one. The pieces of a chunk may run on any threads: first those of
// forward_backward, then those of gradients, then the next chunk. What becomes of the gradients is not known here.
#pragma once

#include <vector>

#include "data/rows.h"
#include "network/panel_loss.h"

namespace retrograd {

// Where the rows of a chunk come from, and what their loss is a part of.
struct NarrowRows {
  Rows x;
  Targets y;
  Selection selection;  // selection[0] is the first row of the chunk
  double divisor = 0;   // divisor_of the whole batch
};

// Rows that another call will read soon, counted as those of the chunk, behind which they may lie: they are prefetched. It
// pays where the data set lies far away in memory (kFarBytes; 16-16-16-16 on 100000 rows: 6.7 -> 5.6 ms an epoch).
struct Ahead {
  Index begin = 0, end = 0;
};

class Fetching;  // narrow.cpp

template <class T>
class NarrowWork {
 public:
  // Memory for chunks of up to `rows` rows. Precondition: is_narrow(network.shape()). The network must outlive it.
  NarrowWork(const Network<T>& network, Index rows);

  Index rows() const { return rows_; }  // the longest chunk

  // The deltas that the passes wrote: [panels of units][rows of the chunk][16].
  Panels<const T> delta(Index l) const { return delta_[at(l)]; }

  // Writes the transposed weights; it must follow every change of the weights, before the next pass back.
  void turn_weights() const;

  // Rows begin..end of the chunk from the user's rows to the deltas of every layer, with their scores. begin is a multiple
  // of 16, and so is end, but at the end of the chunk.
  void forward_backward(const NarrowRows& batch, Index begin, Index end, Ahead ahead = {}) const;

  // The score of each panel of 16 rows, after forward_backward. Their sum in this order is that of the chunk.
  const Score* scores() const { return scores_.data(); }

  // The pieces of the gradients, the largest ones first. Each sums dw of some rows of a layer's weights (and the chains of
  // some db) over `rows` rows of the chunk. dw is stored in `into`, an arena laid out as the parameters; lanes that do not
  // exist become 0 there. With `first` the sums begin, else they go on from those of the chunk before.
  Index gradient_pieces() const { return static_cast<Index>(pieces_.size()); }
  void gradients(Index piece, Index rows, T* into, bool first) const;
  void gradients(Index rows, T* into, bool first) const;  // all pieces

  // Stores what is left in `into`, after the gradients of the last chunk: db, and dw of layers with few outputs.
  void finish(T* into) const;

 private:
  // Some rows of a layer's dw, or of its transpose.
  struct Piece {
    Index layer;
    Index row, rows;  // within one panel of inputs (turned: of outputs)
    Index p0;         // the first panel of outputs (turned: of inputs)
    int lanes;        // from there on
    bool biases;      // with db of all outputs of the piece
  };
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  bool turned(Index l) const { return dwt_[at(l)].data != nullptr; }
  void plan_gradients();
  void gradients(const Piece& piece, Index rows, T* into, bool first) const;
  void forward_layers(const NarrowRows& batch, Index begin, Index end, Fetching& fetching) const;
  void turn_dw(Index l, Panels<T> g) const;
  void turn_outputs(Panels<const T> from, Index p, T* to) const;
  void copy(const Rows& x, Selection selection, Index begin, Index end, Panels<T> to) const;
  void losses(const NarrowRows& batch, Index begin, Index end) const;

  const Network<T>& network_;
  const Kernels<T>& kernels_;
  Index rows_;
  std::vector<Panels<T>> a_;      // of every level; in that of the outputs, z of the last layer
  std::vector<Panels<T>> z_;      // of a hidden layer, where f' needs it
  std::vector<Panels<T>> delta_;  // of every layer
  std::vector<Panels<T>> wt_;     // of every layer but the first: rows = outputs, lanes = inputs
  // Of layers with a few outputs: dw as rows = outputs, lanes = inputs, which then fill more of each vector.
  std::vector<Panels<T>> dwt_;
  std::vector<Panels<T>> sums_;  // of every layer: the chains of db, four rows a panel
  Panels<T> target_;
  Arena<T> values_;
  Arena<Score> scores_;
  std::vector<Piece> blocks_, pieces_;
  Index products_ = 0;  // calls of a product on the way forward and back
};

}  // namespace retrograd
