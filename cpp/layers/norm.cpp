// See norm.h.
#include "layers/norm.h"

#include <cmath>

namespace retrograd {
namespace {

// Calls f(first unit, number of units) for each 16 units of a part.
template <class F>
void each_block(const Part& part, Index units, F f) {
  for (Index j = part.begin(), end = part.end(units); j < end; j += kLanes) f(j, std::min(kLanes, end - j));
}

template <class T>
void rstd_of(const T* variance, T* rstd) {
  for (Index i = 0; i < kLanes; ++i) rstd[i] = T(1) / std::sqrt(variance[i] + static_cast<T>(kNormEps));
}

}  // namespace

template <class T>
void norm_forward(const Kernels<T>& kernels, const DenseLayer<T>& layer, const NormState<T>& state, Panels<T> a,
                  const Part& part, Index batch) {
  if (layer.norm == Norm::layer) {
    for (Index p = part.p0; p < part.p1; ++p) {
      kernels.normalise_rows(layer.fan_out, lanes_of(batch, p), static_cast<T>(kNormEps), layer.gamma, layer.beta, a.panel(p),
                             state.hat.data ? state.hat.panel(p) : nullptr, state.rstd.data ? state.rstd.panel(p) : nullptr,
                             a.panel(p));
    }
  } else {
    each_block(part, layer.fan_out, [&](Index j, Index units) {
      alignas(64) T scale[kLanes];
      const T* mean = layer.running_mean + j;
      if (state.of_batch) {
        const T count = static_cast<T>(batch);
        T *m = state.mean.data + j, *v = state.variance.data + j;
        kernels.unit_sums(units, batch, a.at(0, j), {}, nullptr, m);
        for (Index i = 0; i < kLanes; ++i) m[i] /= count;
        kernels.unit_sums(units, batch, a.at(0, j), {}, m, v);
        for (Index i = 0; i < kLanes; ++i) v[i] /= count;
        rstd_of(v, scale);
        mean = m;
      } else {
        rstd_of(layer.running_variance + j, scale);
      }
      if (state.rstd.data) std::copy_n(scale, kLanes, state.rstd.data + j);
      for (Index p = part.p0; p < part.p1; ++p) {
        kernels.normalise_units(units, lanes_of(batch, p), mean, scale, layer.gamma + j, layer.beta + j, a.row(p, j),
                                state.hat.data ? state.hat.row(p, j) : nullptr, a.row(p, j));
      }
    });
  }
  const Index begin = part.begin(), units = part.end(layer.fan_out) - begin;
  for (Index p = part.p0; p < part.p1; ++p) {
    T* z = a.row(p, begin);
    if (state.z.data) std::copy_n(z, units * kLanes, state.z.row(p, begin));
    kernels.activate(units, lanes_of(batch, p), z, layer.after_norm);
  }
}

template <class T>
void norm_backward(const Kernels<T>& kernels, const DenseLayer<T>& layer, const NormState<T>& state, Panels<T> delta,
                   Panels<const T> a, const Part& part, Index batch) {
  const Index begin = part.begin(), units_of_part = part.end(layer.fan_out) - begin;
  for (Index p = part.p0; p < part.p1; ++p) {
    const T* from = state.z.data ? state.z.row(p, begin) : a.row(p, begin);
    kernels.derive(units_of_part, lanes_of(batch, p), delta.row(p, begin), from, layer.after_norm);
  }
  if (layer.norm == Norm::layer) {
    transpose_delta<T>(kernels, layer.fan_out, state.dbeta, delta, part, batch);
    for (Index p = part.p0; p < part.p1; ++p) {
      kernels.denormalise_rows(layer.fan_out, lanes_of(batch, p), layer.gamma, state.hat.panel(p), state.rstd.panel(p),
                               delta.panel(p), state.product.panel(p));
    }
    return transpose_delta<T>(kernels, layer.fan_out, state.dgamma, state.product, part, batch);
  }
  each_block(part, layer.fan_out, [&](Index j, Index units) {
    alignas(64) T factor[kLanes], mean[kLanes] = {}, slope[kLanes] = {};
    T *dbeta = state.dbeta.panel(j / kLanes), *dgamma = state.dgamma.panel(j / kLanes);
    kernels.unit_sums(units, batch, delta.at(0, j), {}, nullptr, dbeta);
    kernels.unit_sums(units, batch, delta.at(0, j), state.hat.at(0, j), nullptr, dgamma);
    for (Index i = 0; i < kLanes; ++i) {
      factor[i] = layer.gamma[j + i] * state.rstd.data[j + i];
      if (!state.of_batch) continue;
      mean[i] = dbeta[i] / static_cast<T>(batch);
      slope[i] = dgamma[i] / static_cast<T>(batch);
    }
    for (Index p = part.p0; p < part.p1; ++p) {
      kernels.denormalise_units(units, lanes_of(batch, p), mean, slope, factor, state.hat.row(p, j), delta.row(p, j));
    }
  });
}

template <class T>
void norm_remember(const DenseLayer<T>& layer, const NormState<T>& state, Index batch, const Share& share) {
  const T weight = static_cast<T>(kNormMomentum), rest = T(1) - weight;
  const T unbiased = static_cast<T>(batch) / static_cast<T>(batch - 1);
  for (Index j = share.begin(layer.fan_out); j < share.end(layer.fan_out); ++j) {
    layer.running_mean[j] = rest * layer.running_mean[j] + weight * state.mean.data[j];
    layer.running_variance[j] = rest * layer.running_variance[j] + weight * (state.variance.data[j] * unbiased);
  }
}

#define RG_INSTANTIATE(T)                                                                                                  \
  template void norm_forward(const Kernels<T>&, const DenseLayer<T>&, const NormState<T>&, Panels<T>, const Part&, Index); \
  template void norm_backward(const Kernels<T>&, const DenseLayer<T>&, const NormState<T>&, Panels<T>, Panels<const T>,    \
                              const Part&, Index);                                                                         \
  template void norm_remember(const DenseLayer<T>&, const NormState<T>&, Index, const Share&);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
