// The plain network, compiled once for all tests.
#include "support/plain.h"

namespace retrograd::testing {

void Plain::activate(std::vector<Number>& z, Activation f) {
  Number high = z[0], sum = 0;
  for (const Number v : z) high = std::max(high, v);
  for (Number& v : z) {
    if (f == kRelu) v = v < 0 ? 0 : v;
    if (f == kLeaky) v = v < 0 ? static_cast<Number>(kLeakySlope) * v : v;
    if (f == kTanh) v = std::tanh(v);
    if (f == kSigmoid) v = 1 / (1 + std::exp(-v));
    if (f == Activation::elu && v < 0) v = std::expm1(v);
    if (f == Activation::selu) v = Number(kSeluScale) * (v < 0 ? Number(kSeluAlpha) * std::expm1(v) : v);
    if (f == Activation::softplus) v = std::log1p(std::exp(v));
    if (f == Activation::softsign) v = v / (1 + std::fabs(v));
    if (f == Activation::exponential) v = std::exp(v);
    if (f == Activation::gelu) v = v * std::erfc(-v / std::sqrt(Number(2))) / 2;
    if (f == Activation::gelu_tanh)
      v = v * (1 + std::tanh(std::sqrt(2 / std::acos(Number(-1))) * (v + 0.044715L * v * v * v))) / 2;
    if (f == Activation::silu) v = v / (1 + std::exp(-v));
    if (f == Activation::mish) v = v * std::tanh(std::log1p(std::exp(v)));
    if (f == kSoftmax) sum += v = std::exp(v - high);
  }
  for (Number& v : z) {
    if (f == kSoftmax) v /= sum;
  }
}

std::vector<Plain::Number> Plain::outputs(std::vector<Number> a, bool activated) const {
  for (std::size_t l = 0; l < w.size(); ++l) {
    std::vector<Number> z = b[l];
    for (std::size_t i = 0; i < a.size(); ++i) {
      for (std::size_t j = 0; j < z.size(); ++j) z[j] += a[i] * w[l][i * z.size() + j];
    }
    if (l + 1 < w.size() || activated) activate(z, activations[l]);
    a = z;
  }
  return a;
}

Plain::Number Plain::row_loss(const std::vector<Number>& x, const std::vector<Number>& t) const {
  const std::vector<Number> a = outputs(x, !takes_logits());
  const Number n = static_cast<Number>(a.size());
  Number sum = 0, total = 0;
  for (const Number z : a) sum += std::exp(z);
  Number mine = 0;
  for (std::size_t j = 0; j < a.size(); ++j) mine += t[j] * a[j];  // with labels
  for (std::size_t j = 0; j < a.size(); ++j) {
    const Number e = a[j] - t[j], size = std::fabs(e);
    if (loss == Loss::mae) total += size / n;
    if (loss == Loss::huber) total += (size <= parameter ? e * e / 2 : parameter * (size - parameter / 2)) / n;
    if (loss == Loss::quantile) total += std::max(-parameter * e, (1 - parameter) * e) / n;
    if (loss == Loss::poisson) total += (std::exp(a[j]) - t[j] * a[j]) / n;
    if (loss == Loss::hinge && labels) total += t[j] == 1 ? 0 : std::max(Number(0), 1 - mine + a[j]) / n;
    if (loss == Loss::hinge && !labels) total += std::max(Number(0), 1 - t[j] * a[j]) / n;
    if (loss == Loss::focal) {
      total += t[j] * std::pow(1 - std::exp(a[j]) / sum, parameter) * (std::log(sum) - a[j]);
    }
    if (loss == Loss::mse) total += (a[j] - t[j]) * (a[j] - t[j]) / n;
    if (loss == Loss::quadratic) total += (a[j] - t[j]) * (a[j] - t[j]) / 2;
    if (loss == Loss::cross_entropy) total += ((1 - parameter) * t[j] + parameter / n) * (std::log(sum) - a[j]);
    if (loss == Loss::binary_cross_entropy) total += (std::log1p(std::exp(a[j])) - a[j] * t[j]) / n;
  }
  return total;
}

}  // namespace retrograd::testing
