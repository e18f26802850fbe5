// See dropout.h.
#include "layers/dropout.h"

#include <cmath>

namespace retrograd {

template <class T>
void drop(const Kernels<T>& kernels, double rate, const Draw& draw, Index units, Panels<const T> from, Panels<T> to,
          const Part& part, Index batch, Index first) {
  constexpr double words = 0x1p32;
  const auto threshold = static_cast<std::uint32_t>(std::min(std::round(rate * words), words - 1));
  const Index unit = part.begin(), count = part.end(units) - unit;
  for (Index p = part.p0; p < part.p1; ++p) {
    kernels.drop(count, lanes_of(batch, p), draw, unit, first + p * kLanes, threshold, static_cast<T>(1 / (1 - rate)),
                 from.row(p, unit), to.row(p, unit));
  }
}

template <class T>
void add_noise(const Kernels<T>& kernels, double deviation, const Draw& draw, Index units, Panels<const T> from, Panels<T> to,
               const Part& part, Index batch, Index first) {
  const Index unit = part.begin(), count = part.end(units) - unit;
  for (Index p = part.p0; p < part.p1; ++p) {
    kernels.add_noise(count, lanes_of(batch, p), draw, unit, first + p * kLanes, static_cast<T>(deviation), from.row(p, unit),
                      to.row(p, unit));
  }
}

#define RG_INSTANTIATE(T)                                                                                                   \
  template void drop(const Kernels<T>&, double, const Draw&, Index, Panels<const T>, Panels<T>, const Part&, Index, Index); \
  template void add_noise(const Kernels<T>&, double, const Draw&, Index, Panels<const T>, Panels<T>, const Part&, Index, Index);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
