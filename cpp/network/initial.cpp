// See initial.h.
#include "network/initial.h"

#include "base/random.h"
#include "machine/team.h"
#include "network/orthogonal.h"

namespace retrograd {
namespace {

// Copies the matrix to w, transposed where it had to be high.
template <class T>
bool fill_orthogonal(const DenseLayer<T>& layer, double scale, std::uint64_t seed, std::uint32_t stream, Poll poll) {
  const bool high = layer.fan_in >= layer.fan_out;
  const Index rows = high ? layer.fan_in : layer.fan_out, cols = high ? layer.fan_out : layer.fan_in;
  Arena<double> memory(checked_multiply(checked_multiply(panels(cols), rows), kLanes));
  const Panels<double> q{memory.data(), rows};
  if (!memory.data()) return true;  // there is nothing to fill
  if (!orthonormal_columns(rows, cols, seed, stream, q, poll)) return false;
  for (Index i = 0; i < layer.fan_in; ++i) {
    for (Index j = 0; j < layer.fan_out; ++j) {
      const double x = high ? q.row(j / kLanes, i)[j % kLanes] : q.row(i / kLanes, j)[i % kLanes];
      layer.w.row(j / kLanes, i)[j % kLanes] = static_cast<T>(scale * x);
    }
  }
  return true;
}

}  // namespace

template <class T>
bool fill_weights(Network<T>& network, Index l, Distribution distribution, double scale, std::uint64_t seed, Poll poll) {
  const DenseLayer<T>& layer = network.layer(l);
  const auto stream = static_cast<std::uint32_t>(l);
  ++network.version;
  if (distribution == Distribution::orthogonal) return fill_orthogonal(layer, scale, seed, stream, poll);
  const double cost = 200.0 * static_cast<double>(layer.fan_in) * static_cast<double>(layer.fan_out);
  Team team(team_size(cost, layer.fan_in, {}));
  team.each([&](const Share& me, int) {
    for (Index r = me.begin(layer.fan_in), end = me.end(layer.fan_in); r < end; ++r) {
      for (Index j = 0; j < layer.fan_out; ++j) {
        const auto element = static_cast<std::uint64_t>(r * layer.fan_out + j);
        const double x = distribution == Distribution::normal ? normal(seed, Stream::weights, stream, element)
                                                              : 2 * uniform(seed, Stream::weights, stream, element) - 1;
        layer.w.row(j / kLanes, r)[j % kLanes] = static_cast<T>(scale * x);
      }
    }
  });
  return true;
}

template <class T>
void fill_biases(Network<T>& network, Index l, double scale, std::uint64_t seed) {
  const DenseLayer<T>& layer = network.layer(l);
  const auto stream = static_cast<std::uint32_t>(l);
  for (Index j = 0; j < layer.fan_out; ++j) {
    const double x = 2 * uniform(seed, Stream::biases, stream, static_cast<std::uint64_t>(j)) - 1;
    layer.b[j] = static_cast<T>(scale * x);
  }
  ++network.version;
}

#define RG_INSTANTIATE(T)                                                                    \
  template bool fill_weights(Network<T>&, Index, Distribution, double, std::uint64_t, Poll); \
  template void fill_biases(Network<T>&, Index, double, std::uint64_t);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
