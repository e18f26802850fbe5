// See panel_loss.h.
#include "network/panel_loss.h"

namespace retrograd {

template <class T>
BatchLoss<T>::BatchLoss(const Network<T>& network, const Kernels<T>& kernels, double divisor, bool weighted)
    : kernels_(kernels), divisor_(divisor) {
  args_.loss = network.loss();
  args_.activation = network.layer(network.depth() - 1).activation;
  args_.units = network.outputs();
  args_.scale = weighted ? T(1) : divisor > 0 ? static_cast<T>(1.0 / divisor) : T(0);
  args_.parameter = network.loss_parameter();
}

template <class T>
void BatchLoss<T>::operator()(const PanelLoss<T>& panel) const {
  alignas(64) T shares[kLanes];
  LossArgs<T> args = args_;
  args.lanes = panel.lanes;
  args.a = panel.a;
  args.z = panel.z;
  args.target = panel.target;
  args.labels = panel.labels;
  args.delta = panel.delta;
  args.loss_rows = panel.losses;
  args.metric_rows = panel.metrics;
  if (panel.row_weights) {
    for (int i = 0; i < kLanes; ++i) {
      const bool counts = divisor_ > 0 && i < panel.lanes;
      shares[i] = counts ? static_cast<T>(static_cast<double>(panel.row_weights[i]) / divisor_) : T(0);
    }
    args.weights = shares;
  }
  kernels_.loss(args);
}

template <class T>
Score score_of(const PanelLoss<T>& panel) {
  if (!panel.row_weights) return sum_of(panel.losses, panel.metrics, panel.lanes);
  Score score;
  for (int i = 0; i < panel.lanes; ++i) {
    const double w = static_cast<double>(panel.row_weights[i]);
    if (w == 0) continue;  // such a row does not count, even if its loss is not finite
    score.loss += w * static_cast<double>(panel.losses[i]);
    score.metric += w * static_cast<double>(panel.metrics[i]);
    score.weight += w;
  }
  return score;
}

template class BatchLoss<float>;
template class BatchLoss<double>;
template Score score_of(const PanelLoss<float>&);
template Score score_of(const PanelLoss<double>&);

}  // namespace retrograd
