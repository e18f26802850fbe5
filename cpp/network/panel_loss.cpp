// See panel_loss.h.
#include "network/panel_loss.h"

namespace retrograd {

template <class T>
Score panel_loss(const Network<T>& network, const Kernels<T>& kernels, const PanelLoss<T>& panel, double divisor) {
  const T* weights = panel.row_weights;
  const int lanes = panel.lanes;
  alignas(64) T loss_rows[kLanes], metric_rows[kLanes], shares[kLanes];
  for (int i = 0; weights && i < kLanes; ++i) {
    shares[i] = divisor > 0 && i < lanes ? static_cast<T>(static_cast<double>(weights[i]) / divisor) : T(0);
  }
  LossArgs<T> args{};
  args.loss = network.loss();
  args.activation = network.layer(network.depth() - 1).activation;
  args.units = network.outputs();
  args.lanes = lanes;
  args.a = panel.a;
  args.target = panel.target;
  args.labels = panel.labels;
  args.scale = weights ? T(1) : divisor > 0 ? static_cast<T>(1.0 / divisor) : T(0);
  args.delta = panel.delta;
  args.loss_rows = loss_rows;
  args.metric_rows = metric_rows;
  args.parameter = network.loss_parameter();
  args.z = panel.z;
  args.weights = weights ? shares : nullptr;
  kernels.loss(args);
  if (!weights) return sum_of(loss_rows, metric_rows, lanes);
  Score score;
  for (int i = 0; i < lanes; ++i) {
    const double w = static_cast<double>(weights[i]);
    if (w == 0) continue;  // such a row does not count, even if its loss is not finite
    score.loss += w * static_cast<double>(loss_rows[i]);
    score.metric += w * static_cast<double>(metric_rows[i]);
    score.weight += w;
  }
  return score;
}

template Score panel_loss(const Network<float>&, const Kernels<float>&, const PanelLoss<float>&, double);
template Score panel_loss(const Network<double>&, const Kernels<double>&, const PanelLoss<double>&, double);

}  // namespace retrograd
