// The three stages by hand: forward over one batch, backward from its answers or from the caller's own
// gradient, and what can be read between them. The third stage, the update, is not here: it is
// apply_update in training/gradients.h.
#pragma once

#include "network/inference.h"
#include "network/sharing.h"

namespace retrograd {

template <class T>
class Stages {
 public:
  explicit Stages(const Network<T>& network) : network_(network) {}

  // Computes z and a of every layer. If `training`, it also does what only training does, with the
  // random numbers of the network's next step. False: interrupted; nothing can be read then.
  bool forward(const Rows& x, Threads threads, Poll poll, bool training = false);

  // Computes delta, dw and db of every layer, and the loss of the batch. False: interrupted.
  bool backward(const Targets& y, double& loss, Threads threads, Poll poll);
  // The same from dz, the gradient with respect to z of the last layer: rows of outputs() numbers.
  bool backward(const Rows& dz, Threads threads, Poll poll);

  // The gradient with respect to the inputs, in panels `dx`, from the last backward pass.
  Arena<T> input_gradient(Panels<T>& dx, Threads threads) const;

  Index rows() const { return rows_; }
  bool has_forward() const { return has_forward_; }
  bool has_backward() const { return has_backward_; }
  // The version of the parameters that the forward pass read.
  std::uint64_t version() const { return version_; }
  const Workspace<T>& work() const { return *work_; }

 private:
  template <class F>
  bool run_backward(F seed, Threads threads, Poll poll);
  double flops(double share) const { return share * network_.flops_per_row() * static_cast<double>(rows_); }
  Split split() const { return network_.normalises_batch() ? Split::units : Split::rows; }

  const Network<T>& network_;
  std::unique_ptr<Workspace<T>> work_;
  mutable TeamChoices teams_;
  Index rows_ = 0;
  bool has_forward_ = false, has_backward_ = false;
  std::uint64_t version_ = 0;
};

}  // namespace retrograd
