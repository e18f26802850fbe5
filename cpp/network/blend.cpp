// See blend.h.
#include "network/blend.h"

#include <algorithm>

namespace retrograd {

template <class T>
void blend(const Network<T>& into, const Network<T>& from, double tau, const Share& share) {
  const auto move = [&](const Arena<T>& a, const Arena<T>& b) {
    const Index lines = a.size() / kLanes, begin = share.begin(lines) * kLanes, count = share.end(lines) * kLanes - begin;
    if (count == 0) return;
    if (tau == 1) {
      std::copy_n(b.data() + begin, count, a.data() + begin);
    } else {
      into.kernels().blend(count, static_cast<T>(tau), b.data() + begin, a.data() + begin);
    }
  };
  move(into.parameters(), from.parameters());
  move(into.statistics(), from.statistics());
}

template void blend(const Network<float>&, const Network<float>&, double, const Share&);
template void blend(const Network<double>&, const Network<double>&, double, const Share&);

}  // namespace retrograd
