// Gradients in memory: their norms, clipping by them, and the update as a pass over them. For the stages by hand, and in
// training where all gradients must be known before the first update, or where one pass is the faster way.
#pragma once

#include "training/optimizer.h"

namespace retrograd {

template <class T>
class StoredGradients {
 public:
  // Makes the memory; that of the gradients only where `own`.
  void prepare(const Network<T>& network, bool own);
  const Arena<T>& own() const { return own_; }

  // This member's share of the sums of squares, in pieces of fixed size; a barrier must follow.
  void square(const Network<T>& network, const T* gradients, const Member& member);
  // The sum of squares of layer l from the pieces, in their order.
  double squares_of_layer(Index l) const;
  // The factor that brings the norm of all gradients that are used down to clip_norm, as PyTorch's clip_grad_norm_ has it.
  double scale(const Optimizer<T>& optimizer) const;

 private:
  struct Piece {
    Index group, begin, values;
  };
  Arena<T> own_;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> first_piece_;  // of each layer, and the end
  std::vector<double> squares_;
};

// This member's share of parameters <- update(parameters, gradients scaled by `scale`).
template <class T>
void update_pass(const Network<T>& network, const T* gradients, const Optimizer<T>& optimizer, double scale,
                 const Member& member);

// One step against stored gradients, by a team of its own.
template <class T>
void apply_update(Network<T>& network, const Arena<T>& gradients, Optimizer<T>& optimizer, StoredGradients<T>& stored,
                  Threads threads);

}  // namespace retrograd
