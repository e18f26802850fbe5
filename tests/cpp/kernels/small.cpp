// The passes of small networks as lists of calls, on every table: the bits of the oracle, layer by layer.
#include "support/updates.h"

using namespace retrograd;
using namespace retrograd::testing;

namespace {

// A small network's operands. They are placed once for the oracle, and once, between
// guard pages, for the kernels.
template <class T>
struct SmallNetwork {
  std::vector<Index> sizes, gaps;  // gaps: rows between the panels of a layer's weights
  std::vector<Activation> activations;
  int lanes;
  Values<T> parameters, velocity, x, last_delta;
  std::vector<Values<T>> a, delta, delta_t, z;

  SmallNetwork(Dice& dice, const std::vector<Index>& sizes_, int lanes_) : sizes(sizes_), lanes(lanes_) {
    x = panel<T>(dice, sizes[0], lanes);
    for (std::size_t l = 0; l < depth(); ++l) {
      const Index fan_out = sizes[l + 1], count = panels(fan_out);
      gaps.push_back(dice.below(3));
      const bool last = l + 1 == depth();
      const Activation f = kEveryActivation[dice.below(kActivationCount)];
      // exp of exp would leave infinities, and the padding of the weights does not allow these.
      activations.push_back(last && dice.below(4) == 0     ? Activation::softmax
                            : f == Activation::exponential ? Activation::tanh
                                                           : f);
      for (Values<T>* values : {&parameters, &velocity}) append_layer(dice, *values, l);
      a.push_back(dice.numbers<T>(fan_out * kLanes));
      z.push_back(dice.numbers<T>(fan_out * kLanes));
      delta.push_back(last ? panel<T>(dice, fan_out, lanes) : dice.numbers<T>(fan_out * kLanes));
      delta_t.push_back(dice.numbers<T>(count * kLanes * kLanes));
    }
  }
  std::size_t depth() const { return sizes.size() - 1; }
  std::size_t without_bias = 0;  // the layer whose b no update changes; there may be none

  // out(values) gives the addresses where they lie.
  template <class Out>
  std::vector<SmallLayer<T>> layers(T* at, const T* inputs, Out out) {
    std::vector<SmallLayer<T>> list;
    for (std::size_t l = 0; l < depth(); ++l) {
      const Index rows = sizes[l] + gaps[l], count = panels(sizes[l + 1]);
      SmallLayer<T> layer{sizes[l],  sizes[l + 1],  activations[l],           {at, rows}, at + count * rows * kLanes, inputs,
                          out(a[l]), out(delta[l]), {out(delta_t[l]), kLanes}};
      if (derived_from_z(activations[l])) layer.z = out(z[l]);
      layer.biased = l != without_bias;
      at = layer.b + count * kLanes;
      inputs = layer.a;
      list.push_back(layer);
    }
    return list;
  }

 private:
  // Zero past the units, as the layout wants it; the gaps must not be touched.
  void append_layer(Dice& dice, Values<T>& to, std::size_t l) {
    const Index count = panels(sizes[l + 1]), rows = sizes[l] + gaps[l];
    for (Index p = 0; p < count; ++p) {
      for (Index r = 0; r < rows; ++r) append_row(dice, to, r < sizes[l] ? sizes[l + 1] - p * kLanes : -1);
    }
    for (Index p = 0; p < count; ++p) append_row(dice, to, sizes[l + 1] - p * kLanes);
  }
  static void append_row(Dice& dice, Values<T>& to, Index units) {
    for (Index i = 0; i < kLanes; ++i) to.push_back(units < 0 ? nan<T>() : i < units ? dice.number<T>() : T(0));
  }
};

// What write(calls, lanes) writes. It must be as long as write() says without a place, and
// no longer than for all lanes.
template <class T, class Write>
void run_calls(Write write, int lanes) {
  const Index count = write(nullptr, lanes);
  CHECK(count <= write(nullptr, static_cast<int>(kLanes)));
  std::vector<SmallCall<T>> calls(static_cast<std::size_t>(count));
  CHECK(write(calls.data(), lanes) == count);
  for (const SmallCall<T>& call : calls) call.run(call);
}

template <class T>
void check_small(const Pair<T>& pair, const std::vector<Index>& sizes, int lanes, const Update<T>* update, Dice& dice) {
  SmallNetwork<T> network(dice, sizes, lanes);
  network.without_bias = static_cast<std::size_t>(dice.below(8));
  const Index depth = static_cast<Index>(network.depth());
  for (const Guard guard : kGuards) {
    SmallNetwork<T> want = network;
    const auto own = [](Values<T>& values) { return values.data(); };
    const std::vector<SmallLayer<T>> oracle = want.layers(want.parameters.data(), want.x.data(), own);
    Operands<T>& memory = operands<T>(guard);
    T* parameters = memory.out(network.parameters);
    T* velocity = !update || update->momentum != 0 ? memory.out(network.velocity) : nullptr;
    const T* x = memory.in(network.x);
    const auto guarded = [&](Values<T>& values) { return memory.out(values); };
    const std::vector<SmallLayer<T>> layers = network.layers(parameters, x, guarded);

    const Kernels<T>& kernels = pair.kernels;
    pair.oracle.small_forward(depth, oracle.data(), lanes, nullptr);
    run_calls<T>([&](SmallCall<T>* calls, int m) { return kernels.small_forward(depth, layers.data(), m, calls); }, lanes);
    pair.oracle.small_backward(depth, oracle.data(), lanes, nullptr);
    run_calls<T>([&](SmallCall<T>* calls, int m) { return kernels.small_backward(depth, layers.data(), m, calls); }, lanes);
    for (std::size_t l = 0; l < network.depth(); ++l) {
      const auto describe = [&](const char* what) {
        return [&, what] { return words(what, static_cast<Index>(l), depth, sizes[l], sizes[l + 1], network.activations[l]); };
      };
      expect_panel(pair, layers[l].a, want.a[l], lanes, describe("small layer, depth, fan_in, fan_out, activation: a"));
      expect_panel(pair, layers[l].delta, want.delta[l], lanes, describe("small layer, ...: delta"));
      if (layers[l].z) expect_panel(pair, layers[l].z, want.z[l], lanes, describe("small layer, ...: z"));
      for (Index p = 0; p < panels(sizes[l + 1]); ++p) {
        const auto rows = want.delta_t[l].begin() + p * kLanes * kLanes;
        expect_values(pair, layers[l].delta_t.panel(p), Values<T>(rows, rows + lanes * kLanes),
                      describe("small layer, ...: delta_t"));
      }
    }
    pair.oracle.small_update(depth, oracle.data(), lanes, want.parameters.data(), velocity ? want.velocity.data() : nullptr,
                             update, nullptr);
    const auto write_update = [&](SmallCall<T>* calls, int m) {
      return kernels.small_update(depth, layers.data(), m, parameters, velocity, update, calls);
    };
    run_calls<T>(write_update, lanes);
    const auto describe = [&] { return words("small update, depth, lanes", depth, lanes) + " " + describe_update(update); };
    expect_values(pair, parameters, want.parameters, describe);
    if (velocity) expect_values(pair, velocity, want.velocity, describe);
    expect_kept(pair, memory, describe);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("small networks: whole passes have the bits of single layers", T, float, double) {
  Dice dice(31);
  const std::vector<const Update<T>*> kinds = updates<T>();  // null: the gradients are stored
  for (const Pair<T>& pair : pairs<T>()) {
    for (const Index lanes : sizes_to(kLanes)) {
      for (const Index fan_in : sizes_to(33)) {
        for (const Index fan_out : {1, 2, 3, 7, 8, 15, 16, 17, 33, 64}) {
          std::vector<Index> sizes = {fan_in, fan_out};
          for (Index more = dice.below(3); more > 0; --more) sizes.push_back(1 + dice.below(40));
          check_small<T>(pair, sizes, static_cast<int>(lanes),
                         kinds[static_cast<std::size_t>(dice.below(static_cast<Index>(kinds.size())))], dice);
        }
      }
    }
  }
}
