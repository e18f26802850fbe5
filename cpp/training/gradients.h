// Gradients in memory: their norms, clipping by them, and the update as a pass over them. The stages by
// hand use it, and training does where all gradients must be known before the first update or where one
// pass is faster. How the gradients are computed is not here (network/passes.h), nor are the rules of
// the update (kernels/updates.h).
#pragma once

#include "training/optimizer.h"

namespace retrograd {

template <class T>
class StoredGradients {
 public:
  // Makes the memory. The gradients get an arena of their own only if `own`, and chains (GradientSink) only if `chained`.
  void prepare(const Network<T>& network, bool own, bool chained = false);
  const Arena<T>& own() const { return own_; }
  T* chains() const { return chains_.data(); }

  // Takes this share of the sums of squares, in pieces of fixed size.
  void square(const Network<T>& network, const T* gradients, const Share& share);
  // The sum of squares of layer l's gradients: its pieces, added in their order.
  double squares_of_layer(Index l) const;
  // The factor that brings the norm of all gradients together down to clip_norm, as PyTorch's
  // clip_grad_norm_ does. Frozen parameters do not count.
  double scale(const Optimizer<T>& optimizer) const;

 private:
  struct Piece {
    Index group, begin, values;
  };
  Arena<T> own_, chains_;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> first_piece_;  // the first piece of each layer, and the end
  std::vector<double> squares_;
};

// Updates this share of the parameters with the gradients times `scale`.
template <class T>
void update_pass(const Network<T>& network, const T* gradients, const Optimizer<T>& optimizer, double scale,
                 const Share& share);

// Takes one step with stored gradients, in a team of its own.
template <class T>
void apply_update(Network<T>& network, const Arena<T>& gradients, Optimizer<T>& optimizer, StoredGradients<T>& stored,
                  Threads threads);

}  // namespace retrograd
