// See dense.h.
#include "layers/dense.h"

#include <algorithm>

namespace retrograd {
namespace {

// Prefetches the lines of the block that is needed next, a share of them in each call.
template <class T>
class Ahead {
 public:
  Ahead(const T* next, Index values, Index shares)
      : p_(next), end_(next + values), share_(values ? values / shares + kLanes : 0) {}
  void fetch() {
    for (const T* stop = std::min(end_, p_ + share_); p_ < stop; p_ += 64 / sizeof(T)) __builtin_prefetch(p_, 0, 2);
  }

 private:
  const T* p_;
  const T* end_;
  Index share_;
};

// Cuts the rows of w into tiles of nearly equal height; begin(t) says where tile t begins.
struct Tiles {
  Index count;
  Tiles(Index rows, Index mr)
      : count(rows <= mr ? 1 : (rows + mr - 1) / mr),
        height_(count == 1 ? rows : rows / count),
        taller_(rows - height_ * count) {}
  Index begin(Index t) const { return height_ * t + std::min(t, taller_); }

 private:
  Index height_, taller_;
};

}  // namespace

template <class T>
bool dense_forward(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> a, Panels<T> z, Panels<const T> x,
                   const Part& part, Index batch, InterruptWatch& watch) {
  const Index p0 = part.p0, p1 = part.p1, end = part.end(layer.fan_out);
  const bool softmax = layer.activation == Activation::softmax;
  const Activation activation = softmax ? Activation::identity : layer.activation;
  const Index blocks = (layer.fan_in + kKc<T> - 1) / kKc<T>;
  for (Index q = 0; q < blocks; ++q) {
    const Index k0 = cut(layer.fan_in, blocks, q), k = cut(layer.fan_in, blocks, q + 1) - k0;
    for (Index j = part.begin(); j < end; j += kLanes) {
      const Index units = std::min(kLanes, layer.fan_out - j);
      const T* w = layer.w.row(j / kLanes, k0);
      Ahead<T> ahead(w + layer.w.rows * kLanes, layer.fan_in >= kFetchRows && j + kLanes < end ? k * kLanes : 0,
                     (p1 - p0 + kernels.group - 1) / kernels.group);
      for (Index p = p0; p < p1; p += kernels.group) {
        ahead.fetch();
        const int lanes = lanes_of(batch, p, std::min(p1, p + kernels.group));
        kernels.of(lanes).forward(k, units, lanes, w, x.at(p, k0), q == 0 ? layer.b + j : nullptr, a.at(p, j), z.at(p, j),
                                  q == blocks - 1, activation);
      }
      if (watch.spent(static_cast<double>(2 * k * units * kLanes * (p1 - p0)))) return false;
    }
  }
  if (softmax) {
    for (Index p = p0; p < p1; ++p) {
      kernels.activate(layer.fan_out, lanes_of(batch, p), a.panel(p), Activation::softmax);
    }
  }
  return true;
}

namespace {

constexpr Index kMaxGroup = 2, kMaxRowGroup = 8;  // the largest Kernels::group and row_group of any table

// Calls put(j, units, block) for each 16 outputs; the block holds z of `rows` rows as
// [rows][16], and put may overwrite it.
template <class T, class Put>
bool forward_blocks(const Kernels<T>& kernels, const DenseLayer<T>& layer, const T* const* x, const Part& part, Index rows,
                    InterruptWatch& watch, Put put) {
  alignas(64) T blocks[kMaxRowGroup * kLanes * kLanes];
  const Index columns = (rows == 1 ? kernels.row_group : kernels.group) * kLanes, height = rows == 1 ? 1 : kLanes;
  const Index reductions = (layer.fan_in + kKc<T> - 1) / kKc<T>;
  for (Index j0 = part.begin(), stop = part.end(layer.fan_out); j0 < stop; j0 += columns) {
    const Index end = std::min(stop, j0 + columns);
    for (Index q = 0; q < reductions; ++q) {
      const Index k0 = cut(layer.fan_in, reductions, q), k = cut(layer.fan_in, reductions, q + 1) - k0;
      const int lanes = static_cast<int>(end - j0);
      kernels.of(lanes).forward_rows(k, rows, lanes, x, k0, layer.w.at(j0 / kLanes, k0), q == 0 ? layer.b + j0 : nullptr,
                                     {blocks, height});
    }
    for (Index j = j0; j < end; j += kLanes) {
      const Index units = std::min(kLanes, end - j);
      put(j, units, blocks + (j - j0) * height);
    }
    if (watch.spent(static_cast<double>(2 * layer.fan_in * (end - j0) * rows))) return false;
  }
  return true;
}

}  // namespace

template <class T>
bool dense_forward_rows(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> a, Panels<T> z, const T* const* x,
                        const Part& part, Index batch, InterruptWatch& watch) {
  const Activation activation = layer.activation == Activation::softmax ? Activation::identity : layer.activation;
  for (Index p = part.p0; p < part.p1; ++p) {
    const Index rows = lanes_of(batch, p);
    const bool finished =
        forward_blocks(kernels, layer, x + p * kLanes, part, rows, watch, [&](Index j, Index units, T* block) {
          // The panel has room for a whole block where more rows of the layer follow; at the end it has
          // room for only `units` rows.
          alignas(64) T turned[kLanes * kLanes];
          if (z.data) {
            kernels.of(kLanes).transpose(rows, units, block, turned);
            std::copy(turned, turned + units * kLanes, z.row(p, j));
          }
          kernels.activate(rows, static_cast<int>(units), block, activation);
          kernels.of(kLanes).transpose(rows, units, block, turned);
          std::copy(turned, turned + units * kLanes, a.row(p, j));
        });
    if (!finished) return false;
    if (layer.activation == Activation::softmax) {
      kernels.activate(layer.fan_out, static_cast<int>(rows), a.panel(p), Activation::softmax);
    }
  }
  return true;
}

template <class T>
bool dense_forward_few_rows(const Kernels<T>& kernels, const DenseLayer<T>& layer, FewRows<T> a, FewRows<T> z,
                            const T* const* x, const Part& part, Index rows, InterruptWatch& watch) {
  return forward_blocks(kernels, layer, x, part, rows, watch, [&](Index j, Index units, T* block) {
    const auto copy_to = [&](const FewRows<T>& few) {
      for (Index r = 0; r < rows; ++r) std::copy_n(block + r * kLanes, units, few.data + r * few.stride + j);
    };
    if (z.data) copy_to(z);
    kernels.activate(rows, static_cast<int>(units), block, layer.activation);
    copy_to(a);
  });
}

template <class T>
bool dense_delta(const Kernels<T>& kernels, const DenseLayer<T>& layer, Panels<T> below, Panels<const T> delta,
                 Panels<const T> a, Activation activation_below, const Part& part, Index batch, InterruptWatch& watch) {
  const Index p0 = part.p0, p1 = part.p1, row0 = part.begin();
  const Index all = panels(layer.fan_out), blocks = (layer.fan_out + kKc<T> - 1) / kKc<T>;
  const Tiles tiles(part.end(layer.fan_in) - row0, kernels.mr);
  for (Index q = 0; q < blocks; ++q) {
    const Index j0 = cut(all, blocks, q), j1 = cut(all, blocks, q + 1);
    const Index n = std::min(layer.fan_out, j1 * kLanes) - j0 * kLanes;
    const Index at_once = kDeltaTiles * std::max<Index>(1, kKc<T> / ((j1 - j0) * kLanes));  // the same stretch of w in L1
    for (Index t = 0; t < tiles.count; t += at_once) {
      const Index r = row0 + tiles.begin(t), end = row0 + tiles.begin(std::min(tiles.count, t + at_once));
      const Index next_end = row0 + tiles.begin(std::min(tiles.count, t + 2 * at_once));
      Index fetched = j0;
      const Index calls = (p1 - p0 + kernels.group - 1) / kernels.group;
      const Index fetch_share = layer.fan_out >= kFetchRows ? (j1 - j0) / calls + 1 : 0;
      for (Index p = p0; p < p1; p += kernels.group) {
        for (Index stop = std::min(j1, fetched + fetch_share); fetched < stop; ++fetched) {
          for (Index i = end; i < next_end; ++i) __builtin_prefetch(layer.w.row(fetched, i), 0, 2);
        }
        const int lanes = lanes_of(batch, p, std::min(p1, p + kernels.group));
        kernels.of(lanes).delta(end - r, n, lanes, layer.w.at(j0, r), delta.at(p, j0 * kLanes), below.at(p, r), a.at(p, r),
                                q == 0, q == blocks - 1, activation_below);
      }
      if (watch.spent(static_cast<double>(2 * n * (end - r) * kLanes * (p1 - p0)))) return false;
    }
  }
  return true;
}

template <class T>
bool dense_delta_few_rows(const Kernels<T>& kernels, const DenseLayer<T>& layer, FewRows<T> below, Panels<T> below_t,
                          const T* const* delta, const T* const* a, Activation activation_below, const Part& part, Index rows,
                          InterruptWatch& watch) {
  // Takes as many inputs at once as L1 has room for the sums of all rows, so that a panel of
  // w is read in long stretches.
  alignas(64) T sums[kFewRowsRoom], a_block[kLanes * kLanes], block[kLanes * kLanes];
  const Index stretch = kFewRowsRoom / rows / kLanes * kLanes;
  const Kernels<T>& for_few = kernels.of(kLanes);
  for (Index k0 = part.begin(), stop = part.end(layer.fan_in); k0 < stop; k0 += stretch) {
    const Index end = std::min(stop, k0 + stretch);
    std::fill_n(sums, rows * stretch, T(0));
    for (Index n = 0; n < layer.fan_out; n += kLanes) {
      const int lanes = static_cast<int>(std::min(kLanes, layer.fan_out - n));
      for_few.delta_rows(end - k0, rows, lanes, layer.w.row(n / kLanes, k0), delta, n, sums, stretch);
      if (watch.spent(static_cast<double>(2 * (end - k0) * rows * lanes))) return false;
    }
    for (Index k = k0; k < end; k += kLanes) {
      const Index lanes = std::min(kLanes, end - k);
      for (Index r = 0; r < rows; ++r) {
        std::copy_n(sums + r * stretch + k - k0, kLanes, block + r * kLanes);
        std::fill_n(a_block + r * kLanes, kLanes, T(0));
        if (activation_below != Activation::identity) std::copy_n(a[r] + k, lanes, a_block + r * kLanes);
      }
      kernels.derive(rows, static_cast<int>(lanes), block, a_block, activation_below);
      for (Index r = 0; r < rows; ++r) {
        std::copy_n(block + r * kLanes, lanes, below.data + r * below.stride + k);
        std::copy_n(block + r * kLanes, lanes, below_t.row(k / kLanes, r));
      }
    }
  }
  return true;
}

template <class T>
void copy_delta_rows(Index units, Index rows, FewRows<T> delta, Panels<const T> delta_t) {
  for (Index j = 0; j < units; j += kLanes) {
    for (Index r = 0; r < rows; ++r) {
      std::copy_n(delta_t.row(j / kLanes, r), std::min(kLanes, units - j), delta.data + r * delta.stride + j);
    }
  }
}

template <class T>
void transpose_delta(const Kernels<T>& kernels, Index units, Panels<T> delta_t, Panels<const T> delta, const Part& part,
                     Index batch) {
  const Kernels<T>& for_few = kernels.of(kLanes);
  for (Index p = part.p0; p < part.p1; ++p) {
    for (Index j = part.begin(), end = part.end(units); j < end; j += kLanes) {
      for_few.transpose(std::min(kLanes, units - j), lanes_of(batch, p), delta.row(p, j), delta_t.row(j / kLanes, p * kLanes));
    }
  }
}

namespace {

constexpr Index kMaxMr = 16;  // the largest Kernels::mr of any table

template <class T>
void dense_dw_weights(const Kernels<T>& kernels, const DenseLayer<T>& layer, const LayerSink<T>& sink, Panels<const T> x,
                      const T* const* rows, Panels<const T> delta_t, Index batch, const Share& share, bool by_units) {
  // A group of tiles of w's rows shares one panel of deltas. The sums of a group wait in the scratch
  // where the batch is cut into blocks of kMc rows, and so do whole gradients for an update that is not
  // fused; the group is then small enough for L1. Else it is larger, for longer stretches of w and v.
  alignas(64) T scratch[kMaxGroup * kSmallGroup * kMaxMr * kLanes];
  const Update<T>* update = sink.update && sink.update->fused() ? sink.update : nullptr;
  const bool update_after = sink.update && !update;
  const Index batch_panels = panels(batch), blocks = rows ? 1 : (batch + kMc<T> - 1) / kMc<T>;
  const Index group = blocks == 1 && !update_after ? kLargeGroup : kSmallGroup, columns = kernels.group * kLanes;
  const Tiles tiles(layer.fan_in, kernels.mr);
  const Index first_tile = by_units ? 0 : share.begin(tiles.count), last_tile = by_units ? tiles.count : share.end(tiles.count);
  const Index first_unit = by_units ? share.begin(panels(layer.fan_out)) * kLanes : 0;
  const Index last_unit = by_units ? std::min(layer.fan_out, share.end(panels(layer.fan_out)) * kLanes) : layer.fan_out;
  for (Index t = first_tile; t < last_tile; t += group) {
    const Index t1 = std::min(last_tile, t + group), r = tiles.begin(t), count = tiles.begin(t1) - r;
    for (Index j = first_unit; j < last_unit; j += columns) {
      const Index units = std::min(columns, last_unit - j);
      // A separate update runs over whole panels, so their padding must be written too, as zero.
      const int lanes = static_cast<int>(update_after ? panels(units) * kLanes : units);
      const Panels<T> w = layer.w.at(j / kLanes, r), v = sink.v.at(j / kLanes, r);
      const Panels<T> g = sink.g.data                  ? sink.g.at(j / kLanes, r)
                          : blocks > 1 || update_after ? Panels<T>{scratch, kSmallGroup * kMaxMr}
                                                       : Panels<T>{};
      if (rows) {
        kernels.of(lanes).dw_rows(count, batch, lanes, rows, r, delta_t.at(j / kLanes, 0), g, w, v, update);
      } else {
        // With something to prefetch in between, each call takes only a few tiles.
        const bool fetch = batch >= kFetchRows && j + columns < last_unit;
        const Index at_once = fetch ? kFetchTiles : t1 - t;
        Ahead<T> ahead(delta_t.panel((j + columns) / kLanes), fetch ? batch * kLanes : 0,
                       blocks * (t1 - t + at_once - 1) / at_once);
        for (Index q = 0; q < blocks; ++q) {
          const Index p0 = cut(batch_panels, blocks, q), p1 = cut(batch_panels, blocks, q + 1);
          const Index m = std::min(batch, p1 * kLanes) - p0 * kLanes;
          for (Index i = t; i < t1; i += at_once) {
            ahead.fetch();
            const Index row = tiles.begin(i), o = row - r;
            kernels.of(lanes).dw(tiles.begin(std::min(t1, i + at_once)) - row, m, lanes, x.at(p0, row),
                                 delta_t.at(j / kLanes, p0 * kLanes), g.at(0, o), q == 0 && sink.first, q == blocks - 1,
                                 w.at(0, o), v.at(0, o), update);
          }
        }
      }
      for (Index p = 0; update_after && p < panels(lanes); ++p) {
        kernels.update(count * kLanes, g.panel(p), w.panel(p), v.panel(p), sink.update);
      }
    }
  }
}

}  // namespace

template <class T>
void dense_dw(const Kernels<T>& kernels, const DenseLayer<T>& layer, const LayerSink<T>& sink, Panels<const T> x,
              const T* const* rows, Panels<const T> delta_t, Index batch, const Share& share, bool by_units) {
  if (!sink.update || !sink.update->frozen) {
    dense_dw_weights(kernels, layer, sink, x, rows, delta_t, batch, share, by_units);
  }
  if (layer.biased) dense_db(kernels, layer, sink, layer.b, delta_t, batch, share);
}

template <class T>
void dense_db(const Kernels<T>& kernels, const DenseLayer<T>& layer, const LayerSink<T>& sink, T* parameter, Panels<const T> d,
              Index m, const Share& share) {
  const Update<T>* update = sink.bias_update;
  if (update && update->frozen) return;
  for (Index j = share.id; j < panels(layer.fan_out); j += share.size) {
    const Index o = parameter - layer.vectors() + j * kLanes;
    T* b = layer.vectors() + o;
    T* v = sink.v_bias ? sink.v_bias + o : nullptr;
    if (!sink.first || !sink.last) {
      kernels.db_part(m, static_cast<int>(kLanes), d.panel(j), sink.chains + 4 * o, sink.first);
      if (sink.last) kernels.db(4, sink.chains + 4 * o, sink.g_bias + o, nullptr, nullptr, nullptr);
    } else if (!update || update->fused()) {
      kernels.db(m, d.panel(j), sink.g_bias ? sink.g_bias + o : nullptr, b, v, update);
    } else {
      alignas(64) T g[kLanes];
      kernels.db(m, d.panel(j), g, nullptr, nullptr, nullptr);
      kernels.update(kLanes, g, b, v, update);
    }
  }
}

#define RG_INSTANTIATE(T)                                                                                                     \
  template bool dense_forward(const Kernels<T>&, const DenseLayer<T>&, Panels<T>, Panels<T>, Panels<const T>, const Part&,    \
                              Index, InterruptWatch&);                                                                        \
  template bool dense_forward_rows(const Kernels<T>&, const DenseLayer<T>&, Panels<T>, Panels<T>, const T* const*,            \
                                   const Part&, Index, InterruptWatch&);                                                      \
  template bool dense_forward_few_rows(const Kernels<T>&, const DenseLayer<T>&, FewRows<T>, FewRows<T>, const T* const*,      \
                                       const Part&, Index, InterruptWatch&);                                                  \
  template bool dense_delta(const Kernels<T>&, const DenseLayer<T>&, Panels<T>, Panels<const T>, Panels<const T>, Activation, \
                            const Part&, Index, InterruptWatch&);                                                             \
  template bool dense_delta_few_rows(const Kernels<T>&, const DenseLayer<T>&, FewRows<T>, Panels<T>, const T* const*,         \
                                     const T* const*, Activation, const Part&, Index, InterruptWatch&);                       \
  template void copy_delta_rows(Index, Index, FewRows<T>, Panels<const T>);                                                   \
  template void transpose_delta(const Kernels<T>&, Index, Panels<T>, Panels<const T>, const Part&, Index);                    \
  template void dense_db(const Kernels<T>&, const DenseLayer<T>&, const LayerSink<T>&, T*, Panels<const T>, Index,            \
                         const Share&);                                                                                       \
  template void dense_dw(const Kernels<T>&, const DenseLayer<T>&, const LayerSink<T>&, Panels<const T>, const T* const*,      \
                         Panels<const T>, Index, const Share&, bool);

RG_INSTANTIATE(float)
RG_INSTANTIATE(double)

}  // namespace retrograd
