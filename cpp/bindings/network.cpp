// The Python class of a network: making it, its arrays, the stages by hand, prediction. A function here
// checks its arguments, makes views, releases the GIL and makes one call; no algorithm is here.
#include "bindings/names.h"
#include "bindings/objects.h"
#include "kernels/dispatch.h"
#include "network/blend.h"
#include "network/initial.h"

namespace retrograd {
namespace {

// Takes one number for each layer, or none at all.
Regularisation regularisation_of(std::uint64_t seed, double input_dropout, double input_noise,
                                 const std::vector<double>& dropout, const std::vector<double>& max_norm,
                                 const std::vector<std::string>& norm) {
  Regularisation all{input_dropout, input_noise, {}, seed};
  all.layers.resize(std::max({dropout.size(), max_norm.size(), norm.size()}));
  for (const std::size_t given : {dropout.size(), max_norm.size(), norm.size()}) {
    if (given != 0 && given != all.layers.size()) {
      throw std::invalid_argument("dropout, max_norm, norm: expected one for each layer");
    }
  }
  for (std::size_t i = 0; i < dropout.size(); ++i) all.layers[i].dropout = dropout[i];
  for (std::size_t i = 0; i < max_norm.size(); ++i) all.layers[i].max_norm = max_norm[i];
  for (std::size_t i = 0; i < norm.size(); ++i) all.layers[i].norm = kind_named(kNorms, norm[i], "norm");
  return all;
}

template <class T>
std::unique_ptr<PyNetwork<T>> make_network(const std::vector<Index>& sizes, const std::vector<std::string>& activations,
                                           const std::string& loss, double loss_parameter, std::uint64_t seed,
                                           double input_dropout, double input_noise, const std::vector<double>& dropout,
                                           const std::vector<double>& max_norm, const std::vector<std::string>& norm,
                                           const std::vector<bool>& bias) {
  std::vector<Activation> kinds;
  for (const std::string& name : activations) kinds.push_back(kind_named(kActivations, name, "activation"));
  return std::make_unique<PyNetwork<T>>(sizes, kinds, kind_named(kLosses, loss, "loss"), loss_parameter,
                                        regularisation_of(seed, input_dropout, input_noise, dropout, max_norm, norm), bias);
}

// ---------------------------------------------------------------------------------------------- its arrays

template <class T>
Array<T> get_array(PyNetwork<T>& self, const std::string& name, Index l) {
  const ParameterArray& array = self.array_of(name, l, false);
  const auto use = self.shared();
  return read_only(unpack_parameter(array, self.network.arena_of(array).data()));
}

template <class T>
void set_array(PyNetwork<T>& self, const std::string& name, Index l, const Array<T>& values) {
  const ParameterArray& array = self.array_of(name, l, false);
  const auto use = self.alone();
  check_shape(array, values);
  pack_parameter(array, values, self.network.arena_of(array).data());
  ++self.network.version;
}

// Quick form: replaces arrays, which `places` names by their numbers in the table, all of them or none. They may be
// of any kind that batch.h takes.
template <class T>
bool put_quick(PyNetwork<T>& self, const std::vector<std::size_t>& places, const std::vector<py::object>& given) {
  struct Part {
    const ParameterArray& array;
    py::object made;
    py::handle values;
    Rows rows;
  };
  const std::vector<ParameterArray>& table = self.network.table().arrays();
  if (places.size() != given.size()) return false;
  std::vector<Part> parts;
  parts.reserve(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] >= table.size()) return false;
    Part& part = parts.emplace_back(Part{table[places[i]], {}, {}, {}});
    part.values = as_plain<T>(given[i], part.made);
  }
  const auto use = self.alone();
  for (Part& part : parts) {
    if (!part.values || !view_parameter(part.array, part.values, part.rows)) return false;
    if (!all_finite(self.network.kernels(), part.rows)) return false;
    if (part.array.kind == ParameterKind::running_var && !all_within(part.rows, 0, std::numeric_limits<double>::max()))
      return false;
  }
  std::vector<T> buffer;
  for (const Part& part : parts) {
    pack_parameter(part.array, rows_as(part.rows, buffer), self.network.arena_of(part.array).data());
  }
  ++self.network.version;
  return true;
}

template <class T>
Array<T> get_gradient(PyNetwork<T>& self, const std::string& name, Index l) {
  const ParameterArray& array = self.array_of(name, l, true);
  const auto use = self.shared();
  self.need_backward();
  return read_only(unpack_parameter(array, self.stages.work().gradients().data()));
}

template <class T>
void fill_layer(PyNetwork<T>& self, Index l, const std::string& distribution, double scale, std::uint64_t seed) {
  self.check_layer(l);
  const Distribution kind = kind_named(kDistributions, distribution, "distribution");
  const auto use = self.alone();
  PythonPoll poll;
  {
    const WithoutGil release;
    fill_weights(self.network, l, kind, scale, seed, poll.poll());
  }
  poll.raise_if_interrupted();
}

template <class T>
void fill_layer_biases(PyNetwork<T>& self, Index l, double scale, std::uint64_t seed) {
  self.array_of(name_of(ParameterKind::b), l, true);
  const auto use = self.alone();
  fill_biases(self.network, l, scale, seed);
}

template <class T>
void copy_network(PyNetwork<T>& self, PyNetwork<T>& other, double tau) {
  if (&self == &other) return;
  const auto use = self.alone();
  const auto read = other.shared();
  if (!(self.network.table() == other.network.table())) {
    throw std::invalid_argument("the layers of the two networks differ");
  }
  blend(self.network, other.network, tau, Share{});
  ++self.network.version;
}

// ---------------------------------------------------------------------------------------------- prediction

enum class Answer : int { outputs = 0, probabilities, decisions };

Answer answer_of(int number) {
  if (number < 0 || number > 2) throw std::invalid_argument("answer: expected 0, 1 or 2, got " + std::to_string(number));
  return static_cast<Answer>(number);
}

template <class T>
bool run_predict(PyNetwork<T>& self, const Rows& rows, Answer answer, py::array& out, Threads threads, Poll poll,
                 BadRows& bad) {
  if (answer == Answer::decisions) {
    return classify(self.network, rows, static_cast<std::int64_t*>(out.mutable_data()), threads, poll, &self.spare, &bad);
  }
  return predict(self.network, rows, answer == Answer::probabilities, static_cast<T*>(out.mutable_data()), threads, poll,
                 &self.spare, &bad);
}

// The array for an answer: (rows,) where there is one output or one label for each row, else (rows, outputs).
template <class T>
py::array empty_answer(const Network<T>& network, Index rows, Answer answer) {
  const bool labels = answer == Answer::decisions && network.picks_one();
  const py::ssize_t shape[2] = {rows, network.outputs()};
  const int dims = labels || network.outputs() == 1 ? 1 : 2;
  const int type = answer == Answer::decisions ? Numpy::NPY_LONG_ : sizeof(T) == 4 ? Numpy::NPY_FLOAT_ : Numpy::NPY_DOUBLE_;
  auto& api = Numpy::get();
  PyObject* array =
      api.PyArray_NewFromDescr_(api.PyArray_Type_, api.PyArray_DescrFromType_(type), dims, shape, nullptr, nullptr, 0, nullptr);
  if (!array) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(array);
}

// The answers and, where some rows have outputs that are not finite, the first of these rows and their number.
template <class T>
py::tuple network_predict(PyNetwork<T>& self, const py::array& x, int answer_, int n_threads) {
  const Answer answer = answer_of(answer_);
  const Rows rows = rows_of(x, self.network.inputs(), "X");
  py::array out = empty_answer(self.network, rows.rows, answer);
  const auto use = self.shared();
  PythonPoll poll;
  BadRows bad;
  {
    const WithoutGil release;
    run_predict(self, rows, answer, out, self.threads(n_threads), poll.poll(), bad);
  }
  poll.raise_if_interrupted();
  if (bad.rows() == 0) return py::make_tuple(std::move(out), py::none());
  return py::make_tuple(std::move(out), py::make_tuple(bad.first(), bad.rows()));
}

// Quick form. It is also None where the work is not small, a team is forced, or outputs are not finite.
template <class T>
py::object network_predict_quick(PyNetwork<T>& self, const py::object& x, int answer_) {
  const Answer answer = answer_of(answer_);
  py::object made;
  Rows rows;
  if (!self.takes_quickly(length_of(x)) || !take_rows(x, self.network, made, rows)) return py::none();
  py::array out = empty_answer(self.network, rows.rows, answer);
  const auto use = self.shared();
  BadRows bad;
  run_predict(self, rows, answer, out, Threads{1}, {}, bad);
  if (bad.rows() > 0) return py::none();
  return out;
}

template <class T>
std::pair<double, double> network_evaluate(PyNetwork<T>& self, const py::array& x, const py::array& y, int n_threads,
                                           const std::optional<py::array>& row_weights) {
  const Rows rows = rows_of(x, self.network.inputs(), "X");
  const Targets targets = targets_of<T>(y, rows.rows, self.network.outputs(), row_weights);
  const auto use = self.shared();
  PythonPoll poll;
  Score score;
  {
    const WithoutGil release;
    evaluate(self.network, rows, targets, score, self.threads(n_threads), poll.poll(), &self.spare.teams);
  }
  poll.raise_if_interrupted();
  return {score.mean(score.loss), score.mean(score.metric)};
}

// Quick form. It is also None where the work is not small, a team is forced, or the loss is not finite.
template <class T>
py::object network_evaluate_quick(PyNetwork<T>& self, const py::object& x, const py::object& y, const py::object& row_weights) {
  if (!self.takes_quickly(length_of(x))) return py::none();
  QuickBatch<T> batch(x, y, row_weights);
  BatchBuffers<T> buffers;
  Rows rows;
  Targets targets;
  const auto use = self.shared();
  if (!batch.take(self.network, buffers, rows, targets)) return py::none();
  Score score;
  evaluate(self.network, rows, targets, score, Threads{1}, {});
  const double loss = score.mean(score.loss);
  if (!std::isfinite(loss)) return py::none();
  return py::make_tuple(loss, score.mean(score.metric));
}

// ---------------------------------------------------------------------------------------------- the stages by hand

template <class T>
void network_forward(PyNetwork<T>& self, const py::array& x, int n_threads, bool training) {
  const Rows rows = rows_of(x, self.network.inputs(), "X");
  const auto use = self.alone();
  PythonPoll poll;
  {
    const WithoutGil release;
    self.stages.forward(rows, self.threads(n_threads), poll.poll(), training);
  }
  poll.raise_if_interrupted();
}

template <class T>
double network_backward(PyNetwork<T>& self, const py::array& y, int n_threads, const std::optional<py::array>& row_weights,
                        bool by_batch) {
  const auto use = self.alone();
  self.need_fresh_forward();
  Targets targets = targets_of<T>(y, self.stages.rows(), self.network.outputs(), row_weights);
  targets.by_batch = by_batch;
  PythonPoll poll;
  double loss = 0;
  {
    const WithoutGil release;
    self.stages.backward(targets, loss, self.threads(n_threads), poll.poll());
  }
  poll.raise_if_interrupted();
  return loss;
}

template <class T>
void network_backward_dz(PyNetwork<T>& self, const py::array& dz, int n_threads) {
  const auto use = self.alone();
  self.need_fresh_forward();
  const Rows rows = rows_of(dz, self.network.outputs(), "dz");
  if (rows.rows != self.stages.rows()) {
    throw std::invalid_argument("dz: expected " + std::to_string(self.stages.rows()) + " rows, got " +
                                std::to_string(rows.rows));
  }
  PythonPoll poll;
  {
    const WithoutGil release;
    self.stages.backward(rows, self.threads(n_threads), poll.poll());
  }
  poll.raise_if_interrupted();
}

template <class T>
void network_apply(PyNetwork<T>& self, PyOptimizer<T>& optimizer, int n_threads) {
  const auto use = self.alone();
  self.need_backward();
  optimizer.check_network(self);
  const WithoutGil release;
  apply_update(self.network, self.stages.work().gradients(), optimizer.optimizer, optimizer.stored, Threads{n_threads});
}

// The outputs of the last pass; somebody holds the network.
template <class T>
Array<T> outputs_of(const PyNetwork<T>& self) {
  const Network<T>& network = self.network;
  const Index rows = self.stages.rows(), units = network.outputs();
  const Panels<T> a = self.stages.work().a({network.depth()});
  if (network.layers().back().activation == network.output_activation()) return unpack_rows(network.kernels(), a, rows, units);
  Arena<T> copy(panels(rows) * a.rows * kLanes);
  std::copy_n(a.data, copy.size(), copy.data());
  const Panels<T> view{copy.data(), a.rows};
  activate_panels(network.kernels(), view, rows, units, network.output_activation());
  return unpack_rows(network.kernels(), view, rows, units);
}

template <class T>
Array<T> network_output(PyNetwork<T>& self) {
  const auto use = self.shared();
  self.need_forward();
  return outputs_of(self);
}

// Quick forms of forward, with the outputs, and of both ways backward: None where the work is not small.
template <class T>
py::object network_forward_quick(PyNetwork<T>& self, const py::object& x, bool training) {
  py::object made;
  Rows rows;
  if (!self.takes_quickly(length_of(x)) || !take_rows(x, self.network, made, rows)) return py::none();
  const auto use = self.alone();
  self.stages.forward(rows, Threads{1}, {}, training);
  return outputs_of(self);
}

template <class T>
py::object network_backward_quick(PyNetwork<T>& self, const py::object& y, const py::object& row_weights, bool by_batch) {
  if (!self.takes_quickly(self.stages.rows())) return py::none();
  QuickBatch<T> batch(py::none(), y, row_weights);
  BatchBuffers<T> buffers;
  const auto use = self.alone();
  self.need_fresh_forward();
  Targets targets;
  if (!batch.take_targets(self.network, buffers, self.stages.rows(), targets)) return py::none();
  targets.by_batch = by_batch;
  double loss = 0;
  self.stages.backward(targets, loss, Threads{1}, {});
  return py::float_(loss);
}

template <class T>
bool network_backward_dz_quick(PyNetwork<T>& self, const py::object& dz) {
  if (!self.takes_quickly(self.stages.rows())) return false;
  py::object made;
  const py::handle plain = as_plain<T>(dz, made);
  const auto use = self.alone();
  self.need_fresh_forward();
  Rows view;
  if (!view_numbers(plain, self.stages.rows(), self.network.outputs(), view)) return false;
  if (!all_finite(self.network.kernels(), view)) return false;
  self.stages.backward(view, Threads{1}, {});
  return true;
}

template <class T>
Array<T> network_z(PyNetwork<T>& self, Index l) {
  self.check_layer(l);
  const auto use = self.shared();
  self.need_forward();
  const Index units = self.network.layer(l).fan_out;
  return read_only(unpack_rows(self.network.kernels(), self.stages.work().z(l), self.stages.rows(), units));
}

template <class T>
Array<T> network_a(PyNetwork<T>& self, Index level) {
  if (level != 0) self.check_layer(level - 1);
  const auto use = self.shared();
  self.need_forward();
  const Index units = self.network.size_of({level});
  return read_only(unpack_rows(self.network.kernels(), self.stages.work().a({level}), self.stages.rows(), units));
}

template <class T>
Array<T> network_delta(PyNetwork<T>& self, Index l) {
  self.check_layer(l);
  const auto use = self.shared();
  self.need_backward();
  return read_only(unpack(self.stages.work().delta_t(l), self.stages.rows(), self.network.layer(l).fan_out));
}

template <class T>
Array<T> network_dx(PyNetwork<T>& self, int n_threads) {
  const auto use = self.shared();
  self.need_backward();
  if (self.stages.version() != self.network.version) {
    throw std::runtime_error("the weights have changed since backward(): dx can no longer be computed");
  }
  Panels<T> dx;
  Arena<T> memory;
  {
    const WithoutGil release;
    memory = self.stages.input_gradient(dx, Threads{n_threads});
  }
  return read_only(unpack_rows(self.network.kernels(), dx, self.stages.rows(), self.network.inputs()));
}

// ---------------------------------------------------------------------------------------------- numbers that are not finite

template <class T>
std::optional<Index> find_nonfinite_weight(PyNetwork<T>& self) {
  const auto use = self.shared();
  const WithoutGil release;
  const Index layer = find_nonfinite_layer(self.network);
  return layer < 0 ? std::nullopt : std::optional<Index>(layer);
}

template <class T>
Place nonfinite_place(const Rows& rows, int n_threads) {
  Place place;
  PythonPoll poll;
  {
    const WithoutGil release;
    place = find_nonfinite(active_kernels<T>(), rows, Threads{n_threads}, poll.poll());
  }
  poll.raise_if_interrupted();
  return place;
}

template <class T>
std::optional<std::pair<Index, Index>> find_nonfinite_number(const py::array& x, int n_threads) {
  const Place place = nonfinite_place<T>(rows_of(x, x.ndim() == 2 ? x.shape(1) : 0, "X"), n_threads);
  if (place.row < 0) return std::nullopt;
  return std::pair{place.row, place.col};
}

// Quick form: whether x has rows of so many numbers, is read in place, and is finite.
template <class T>
bool takes(const py::object& x, Index cols) {
  Rows rows;
  if (!view_rows(x, cols, rows) || rows.rows > std::numeric_limits<std::uint32_t>::max()) return false;
  const bool quick = static_cast<double>(rows.rows) * static_cast<double>(cols) <= kQuickNumbers;
  return (quick ? find_nonfinite(active_kernels<T>(), rows, Threads{1}) : nonfinite_place<T>(rows, 0)).row < 0;
}

}  // namespace

template <class T>
void define_network(py::class_<PyNetwork<T>>& network) {
  using Net = PyNetwork<T>;
  network
      .def(py::init(&make_network<T>), py::arg("sizes"), py::arg("activations"), py::arg("loss"), py::kw_only(),
           py::arg("loss_parameter") = 0.0, py::arg("seed") = 0, py::arg("input_dropout") = 0.0, py::arg("input_noise") = 0.0,
           py::arg("dropout") = std::vector<double>(), py::arg("max_norm") = std::vector<double>(),
           py::arg("norm") = std::vector<std::string>(), py::arg("bias") = std::vector<bool>())
      .def(
          "force_team",
          [](Net& self, int size) {
            if (size < 0) throw std::invalid_argument("size: expected at least 0, got " + std::to_string(size));
            self.exactly = size;
          },
          py::arg("size"))
      .def(
          "force_plan",
          [](Net& self, const std::string& mode, std::uint64_t number) {
            using Mode = Planning::Mode;
            if (mode != "measured" && mode != "fixed" && mode != "random") {
              throw std::invalid_argument("mode: expected measured, fixed or random, got " + mode);
            }
            self.planning.mode = mode == "fixed" ? Mode::fixed : mode == "random" ? Mode::random : Mode::measured;
            self.planning.number = static_cast<Index>(number);
            self.planning.seed = number;
          },
          py::arg("mode"), py::arg("number") = 0)
      .def("steps",
           [](Net& self) {
             const auto use = self.shared();
             return self.network.steps;
           })
      .def(
          "set_steps",
          [](Net& self, std::uint64_t steps) {
            const auto use = self.alone();
            self.network.steps = steps;
          },
          py::arg("steps"))
      .def("get", &get_array<T>, py::arg("name"), py::arg("layer"))
      .def("set", &set_array<T>, py::arg("name"), py::arg("layer"), py::arg("values").noconvert())
      .def("put_quick", &put_quick<T>, py::arg("places"), py::arg("arrays"))
      .def("fill", &fill_layer<T>, py::arg("layer"), py::arg("distribution"), py::arg("scale"), py::arg("seed"))
      .def("fill_biases", &fill_layer_biases<T>, py::arg("layer"), py::arg("scale"), py::arg("seed"))
      .def("copy_from", &copy_network<T>, py::arg("other"), py::arg("tau") = 1.0)
      .def("forward", &network_forward<T>, py::arg("x"), py::arg("n_threads") = 0, py::arg("training") = false)
      .def("backward", &network_backward<T>, py::arg("y"), py::arg("n_threads") = 0, py::arg("row_weights") = py::none(),
           py::arg("by_batch") = false)
      .def("backward_dz", &network_backward_dz<T>, py::arg("dz"), py::arg("n_threads") = 0)
      .def("apply", &network_apply<T>, py::arg("optimizer"), py::arg("n_threads") = 0)
      .def("forward_quick", &network_forward_quick<T>, py::arg("x"), py::arg("training"))
      .def("backward_quick", &network_backward_quick<T>, py::arg("y"), py::arg("row_weights"), py::arg("by_batch"))
      .def("backward_dz_quick", &network_backward_dz_quick<T>, py::arg("dz"))
      .def("output", &network_output<T>)
      .def("batch_rows",
           [](Net& self) {
             const auto use = self.shared();
             self.need_fresh_forward();
             return self.stages.rows();
           })
      .def("z", &network_z<T>, py::arg("layer"))
      .def("a", &network_a<T>, py::arg("level"))
      .def("delta", &network_delta<T>, py::arg("layer"))
      .def("gradient", &get_gradient<T>, py::arg("name"), py::arg("layer"))
      .def("dx", &network_dx<T>, py::arg("n_threads") = 0)
      .def("predict", &network_predict<T>, py::arg("x"), py::arg("answer"), py::arg("n_threads") = 0)
      .def("predict_quick", &network_predict_quick<T>, py::arg("x"), py::arg("answer"))
      .def("evaluate", &network_evaluate<T>, py::arg("x"), py::arg("y"), py::arg("n_threads") = 0,
           py::arg("row_weights") = py::none())
      .def("evaluate_quick", &network_evaluate_quick<T>, py::arg("x"), py::arg("y"), py::arg("row_weights"))
      .def("find_nonfinite_weight", &find_nonfinite_weight<T>)
      .def_static("find_nonfinite", &find_nonfinite_number<T>, py::arg("x"), py::arg("n_threads") = 0)
      .def_static("takes", &takes<T>, py::arg("x"), py::arg("cols"));
}

template void define_network(py::class_<PyNetwork<float>>&);
template void define_network(py::class_<PyNetwork<double>>&);

}  // namespace retrograd
