// The gradient of whole networks against differences of a plain loss in long double.
#include "network/stages.h"
#include "support/plain.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

constexpr long double kNudge = 1e-6L;

// d f / d value by a central difference.
template <class F>
long double slope(long double& value, F f) {
  const long double middle = value;
  value = middle + kNudge;
  const long double above = f();
  value = middle - kNudge;
  const long double below = f();
  value = middle;
  return (above - below) / (2 * kNudge);
}

template <class T>
constexpr long double kGradientBound = sizeof(T) == 4 ? 2e-5L : 1e-9L;

std::vector<Spec> gradient_specs() {
  std::vector<Spec> list;
  for (const Activation hidden : {kIdentity, kRelu, kLeaky, kTanh, kSigmoid}) {
    for (const Loss loss : {Loss::mse, Loss::quadratic}) {
      for (const Activation last : {kIdentity, kRelu, kLeaky, kTanh, kSigmoid, kSoftmax}) {
        list.push_back({{4, 5, 3}, {hidden, last}, loss});
      }
    }
    list.push_back({{4, 5, 4, 3}, {hidden, hidden, kSoftmax}, Loss::cross_entropy, true});
    list.push_back({{4, 5, 4, 3}, {hidden, hidden, kIdentity}, Loss::cross_entropy, false});
    list.push_back({{4, 5, 4, 3}, {hidden, hidden, kSigmoid}, Loss::binary_cross_entropy});
  }
  const Activation more[] = {Activation::elu,       Activation::selu,        Activation::softplus,
                             Activation::softsign,  Activation::exponential, Activation::gelu,
                             Activation::gelu_tanh, Activation::silu,        Activation::mish};
  for (const Activation f : more) {
    list.push_back({{4, 5, 3}, {f, f}, Loss::mse});
    list.push_back({{4, 5, 3}, {f, f}, Loss::huber, false, 0.25});
    list.push_back({{4, 5, 3}, {f, f}, Loss::quantile});
    list.push_back({{4, 5, 3}, {f, f}, Loss::mae});
    list.push_back({{4, 5, 4, 3}, {f, f, kIdentity}, Loss::focal, true});
    list.push_back({{4, 5, 4, 3}, {f, f, kSoftmax}, Loss::focal, false, 0.5});
    list.push_back({{4, 5, 4, 3}, {f, f, kIdentity}, Loss::cross_entropy, true, 0.1});
    list.push_back({{4, 5, 4, 3}, {f, f, kIdentity}, Loss::cross_entropy, false, 0.3});
    list.push_back({{4, 5, 4, 3}, {kTanh, f, kIdentity}, Loss::hinge, true});
    list.push_back({{4, 5, 4, 1}, {kTanh, f, kTanh}, Loss::hinge});
    list.push_back({{4, 5, 4, 3}, {kTanh, f, kIdentity}, Loss::poisson});
  }
  return list;
}

}  // namespace

TEST_CASE_TEMPLATE("gradient: dw, db, dx and loss against differences in long double", T, float, double) {
  for (const Spec& spec : gradient_specs()) {
    for (const Index rows : {1, 17}) {
      CAPTURE(spec.describe());
      CAPTURE(rows);
      const Network<T> network = make_network<T>(spec);
      Plain plain(network, spec);
      const Data<T> data(spec, rows, 3);
      Stages<T> stages(network);
      double loss = 0;
      REQUIRE(stages.forward(data.inputs_view(), {}, {}));
      REQUIRE(stages.backward(data.targets(), loss, {}, {}));
      const auto mean_loss = [&] { return plain.total_loss(data) / rows; };
      CHECK(std::fabs(loss - mean_loss()) < kGradientBound<T> * std::max(1.0L, mean_loss()));

      Worst dw, db, dx;
      for (Index l = 0; l < network.depth(); ++l) {
        const auto i = static_cast<std::size_t>(l);
        const LayerSink<T> gradient = network.sink_of(l, {stages.work().gradients().data()});
        const Index fan_out = network.layer(l).fan_out;
        for (Index k = 0; k < network.layer(l).fan_in; ++k) {
          for (Index j = 0; j < fan_out; ++j) {
            dw.see(gradient.g.row(j / kLanes, k)[j % kLanes],
                   slope(plain.w[i][static_cast<std::size_t>(k * fan_out + j)], mean_loss));
          }
        }
        for (Index j = 0; j < fan_out; ++j)
          db.see(gradient.g_bias[j], slope(plain.b[i][static_cast<std::size_t>(j)], mean_loss));
      }
      Panels<T> dx_panels;
      const Arena<T> owner = stages.input_gradient(dx_panels, {});
      for (Index r = 0; r < rows; ++r) {
        std::vector<long double> x = Plain::row(data.x, r, data.inputs);
        const std::vector<long double> t = Plain::target(data, r);
        for (Index k = 0; k < data.inputs; ++k) {
          dx.see(dx_panels.row(r / kLanes, k)[r % kLanes],
                 slope(x[static_cast<std::size_t>(k)], [&] { return plain.row_loss(x, t) / rows; }));
        }
      }
      CHECK(dw.relative() < kGradientBound<T>);
      CHECK(db.relative() < kGradientBound<T>);
      CHECK(dx.relative() < kGradientBound<T>);
    }
  }
}
