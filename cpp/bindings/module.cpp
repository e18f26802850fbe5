// The only file that knows Python: checks what it is given, makes views, releases the GIL, makes one call. No algorithm.
// Arrays must already be what the core takes (the Python layer coerces); anything else is a TypeError or ValueError.
#include <cxxabi.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "kernels/dispatch.h"
#include "network/inference.h"
#include "base/random.h"
#include "network/stages.h"
#include "training/trainer.h"

namespace py = pybind11;

namespace retrograd {
namespace {

constexpr std::array<const char*, 15> kActivationNames = {"identity",    "relu", "leaky_relu", "tanh",     "sigmoid",
                                                          "softmax",     "elu",  "selu",       "softplus", "softsign",
                                                          "exponential", "gelu", "gelu_tanh",  "silu",     "mish"};
constexpr std::array<const char*, 10> kLossNames = {
    "mse", "quadratic", "cross_entropy", "binary_cross_entropy", "mae", "huber", "poisson", "quantile", "hinge", "focal"};

constexpr std::array<const char*, 5> kRuleNames = {"sgd", "adam", "rmsprop", "adagrad", "lion"};

constexpr std::array<const char*, 3> kNormNames = {"none", "layer", "batch"};
constexpr std::array<const char*, 2> kDistributionNames = {"normal", "uniform"};

template <class Enum, std::size_t N>
Enum named(const std::array<const char*, N>& names, const std::string& name, const char* what) {
  std::string known;
  for (std::size_t i = 0; i < N; ++i) {
    if (name == names[i]) return static_cast<Enum>(i);
    known += (i ? ", " : "") + std::string(names[i]);
  }
  throw std::invalid_argument("unknown " + std::string(what) + " '" + name + "'; expected one of: " + known);
}

template <std::size_t N>
py::tuple names_tuple(const std::array<const char*, N>& names) {
  py::tuple result(N);
  for (std::size_t i = 0; i < N; ++i) result[i] = names[i];
  return result;
}

std::string shape_of(const py::array& x) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < x.ndim(); ++i) text += (i ? ", " : "") + std::to_string(x.shape(i));
  return text + ")";
}

using Numpy = py::detail::npy_api;

// NumPy's number of the type that a plain array holds in native bytes; -1 for anything else, subclasses too.
int plain_type(const py::handle& x) {
  if (Py_TYPE(x.ptr()) != Numpy::get().PyArray_Type_) return -1;
  const py::dtype type = py::reinterpret_borrow<py::array>(x).dtype();
  constexpr char native = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>';  // dtype.newbyteorder() says so, too
  const char order = type.byteorder();
  return order == '=' || order == '|' || order == native ? type.num() : -1;
}

// A view of a 2-D array (rows, cols) whose rows are contiguous and aligned; false: it is none, or of another type.
bool view_rows(const py::handle& x, Index cols, Rows& rows) {
  switch (plain_type(x)) {
    case Numpy::NPY_FLOAT_:
      rows.source = Source::float32;
      break;
    case Numpy::NPY_DOUBLE_:
      rows.source = Source::float64;
      break;
    case Numpy::NPY_UBYTE_:
      rows.source = Source::uint8;
      break;
    default:
      return false;
  }
  const auto* array = py::detail::array_proxy(x.ptr());
  if (array->nd != 2 || array->dimensions[1] != cols) return false;
  rows = {array->data, array->dimensions[0], cols, array->strides[0], rows.source};
  if (rows.rows == 0 || cols == 0) return true;
  const Index size = source_size(rows.source);
  const bool contiguous = cols == 1 || array->strides[1] == size;
  const bool aligned = reinterpret_cast<std::uintptr_t>(rows.data) % static_cast<std::uintptr_t>(size) == 0;
  return contiguous && aligned && (rows.rows == 1 || rows.stride % size == 0);
}

// As view_rows, or an error that says what is wrong.
Rows rows_of(const py::array& x, Index cols, const char* what) {
  Rows rows;
  if (view_rows(x, cols, rows)) return rows;
  const int type = plain_type(x);
  if (type != Numpy::NPY_FLOAT_ && type != Numpy::NPY_DOUBLE_ && type != Numpy::NPY_UBYTE_) {
    throw py::type_error(std::string(what) + ": expected a float32, float64 or uint8 array, got " +
                         py::cast<std::string>(py::str(static_cast<py::object>(x.dtype()))));
  }
  if (x.ndim() != 2 || x.shape(1) != cols) {
    throw std::invalid_argument(std::string(what) + ": expected shape (rows, " + std::to_string(cols) + "), got " +
                                shape_of(x));
  }
  throw std::invalid_argument(std::string(what) + ": expected aligned, contiguous rows");
}

// Unsigned numbers: the highest bit of the result is set where `number`, taken as a signed one, is below 0 or above `largest`.
// Of many results by "or", so that loops have no early end, and compilers make vectors of them.
template <class U>
constexpr U outside(U number, U largest) {
  return number | (largest - number);
}

// Labels copied to `buffer`, as what is used as an index must not change; false: one of them is out of range.
template <class Label>
bool copy_labels(const char* from, Index rows, Index outputs, std::int32_t* buffer) {
  const auto largest = static_cast<std::uint64_t>(outputs - 1);
  std::uint64_t bad = 0;
  for (Index i = 0; i < rows; ++i) {
    Label label;
    std::memcpy(&label, from + i * static_cast<Index>(sizeof label), sizeof label);
    bad |= outside(static_cast<std::uint64_t>(static_cast<std::int64_t>(label)), largest);
    buffer[i] = static_cast<std::int32_t>(label);
  }
  return bad >> 63 == 0;
}

// Labels in a plain array (rows,) of one of the types that labels mostly have, side by side.
struct PlainLabels {
  const char* data = nullptr;  // null: there are none
  int type = -1;

  PlainLabels(const py::handle& y, Index rows) : type(plain_type(y)) {
    Index size = 0;
    switch (type) {
      case Numpy::NPY_UBYTE_:
        size = 1;
        break;
      case Numpy::NPY_INT_:
        size = static_cast<Index>(sizeof(int));
        break;
      case Numpy::NPY_LONG_:
        size = static_cast<Index>(sizeof(long));
        break;
      default:
        return;
    }
    const auto* array = py::detail::array_proxy(y.ptr());
    if (array->nd == 1 && array->dimensions[0] == rows && (rows <= 1 || array->strides[0] == size)) data = array->data;
  }
  bool copy(Index rows, Index outputs, std::int32_t* buffer) const {
    if (type == Numpy::NPY_UBYTE_) return copy_labels<std::uint8_t>(data, rows, outputs, buffer);
    if (type == Numpy::NPY_INT_) return copy_labels<int>(data, rows, outputs, buffer);
    return copy_labels<long>(data, rows, outputs, buffer);
  }
};

// A copy of labels as the core takes them, for those that are right and come in a plain array; else None.
py::object labels_of(const py::object& y, Index rows, Index outputs) {
  const PlainLabels labels(y, rows);
  if (!labels.data || outputs < 1) return py::none();
  py::array_t<std::int32_t> copy(rows);
  if (!labels.copy(rows, outputs, copy.mutable_data())) return py::none();
  return copy;
}

// As targets_of, for what fits without a question; false: it does not, and the caller takes the long way.
template <class T>
bool quick_targets(const py::handle& y, const Network<T>& network, Index rows, std::vector<std::int32_t>& buffer,
                   Targets& targets) {
  const int type = plain_type(y);
  if (type < 0) return false;
  const auto* array = py::detail::array_proxy(y.ptr());
  const Index outputs = network.outputs();
  if (network.picks_one()) {
    const PlainLabels labels(y, rows);
    if (!labels.data) return false;
    buffer.resize(static_cast<std::size_t>(rows));
    targets.labels = buffer.data();
    return labels.copy(rows, outputs, buffer.data());
  }
  if (array->nd == 1 && outputs == 1) {
    if (type != (sizeof(T) == 4 ? Numpy::NPY_FLOAT_ : Numpy::NPY_DOUBLE_) || array->dimensions[0] != rows) return false;
    if (reinterpret_cast<std::uintptr_t>(array->data) % sizeof(T) != 0 ||
        array->strides[0] % static_cast<Index>(sizeof(T)) != 0)
      return false;
    targets.rows = {array->data, rows, 1, array->strides[0], source_of<T>};
  } else if (!view_rows(y, outputs, targets.rows) || targets.rows.source != source_of<T> || targets.rows.rows != rows) {
    return false;
  }
  if (!all_finite(network.kernels(), targets.rows)) return false;
  if (network.loss() == Loss::hinge || network.loss() == Loss::poisson) return false;  // the long way checks them
  if (network.loss() != Loss::binary_cross_entropy) return true;
  for (Index r = 0; r < rows; ++r) {
    const T* row = static_cast<const T*>(targets.rows.row(r));
    if (std::any_of(row, row + outputs, [](T v) { return v < 0 || v > 1; })) return false;
  }
  return true;
}

// Work of so many flops is over before anybody could wait for it: no GIL is released, no signal looked for.
constexpr double kQuickFlops = 2e6;
constexpr double kFewNumbers = 16384;  // a microsecond to read

// int32 labels, one a row, or rows of outputs; with one weight of type T for each row, (rows, 1), or None.
template <class T>
Targets targets_of(const py::array& y, Index rows, Index outputs, const std::optional<py::array>& weights) {
  Targets targets;
  if (weights) {
    targets.weights = rows_of(*weights, 1, "sample_weight");
    if (targets.weights.source != source_of<T> || targets.weights.rows != rows) {
      throw std::invalid_argument("sample_weight: expected " + std::to_string(rows) + " of the network's dtype");
    }
  }
  if (py::isinstance<py::array_t<std::int32_t>>(y)) {
    if (y.ndim() != 1 || y.strides(0) != y.itemsize())
      throw std::invalid_argument("y: expected contiguous labels (rows,), got " + shape_of(y));
    targets.labels = static_cast<const std::int32_t*>(y.data());
    // an index into the outputs: never trusted
    const auto largest = static_cast<std::uint32_t>(outputs - 1);
    std::uint32_t bad = 0;
    for (Index i = 0; i < y.shape(0); ++i) bad |= outside(static_cast<std::uint32_t>(targets.labels[i]), largest);
    if (bad >> 31 != 0) {
      const std::int32_t* label = targets.labels;
      while (*label >= 0 && *label < outputs) ++label;
      throw std::invalid_argument("y: label " + std::to_string(*label) + " is out of range");
    }
  } else {
    targets.rows = rows_of(y, outputs, "y");
  }
  if (y.shape(0) != rows) {
    throw std::invalid_argument("y: expected " + std::to_string(rows) + " rows, got " + std::to_string(y.shape(0)));
  }
  return targets;
}

// Calls what takes the GIL or runs Python. After the interpreter's end Python ends such a thread by unwinding its stack, and
// what lies on ours (destructors, a team's region) turns that into an abort: so the thread waits for the end of the process.
// (Such an unwinding carries no object: the reference is null, of which UndefinedBehaviorSanitizer would complain. g++ makes
// one check of null and alignment, and reads the attribute once more after inlining: only without both is there none.)
template <class F>
__attribute__((no_sanitize("null", "alignment"))) auto or_wait_for_the_end(F call) {
  try {
    return call();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();
  }
}

// Whether the interpreter is ending or has ended.
bool interpreter_ends() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() || !Py_IsInitialized();
#else
  return _Py_IsFinalizing() || !Py_IsInitialized();
#endif
}

// Made with the GIL: which end of the interpreter this thread has to look out for before it takes the GIL again. Later Python's
// unwinding is no help: there are no thread states any more, and taking the GIL crashes. Who has the GIL while the interpreter
// ends is the thread that ends it, and goes on.
class LookOut {
 public:
  LookOut() : ends_it_(interpreter_ends()) {}
  void wait_if_over() const {
    while (!ends_it_ && interpreter_ends()) pause();
  }

 private:
  bool ends_it_;
};

// Lets other Python threads run while it lives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
    look_out_.wait_if_over();
    or_wait_for_the_end([this] { PyEval_RestoreThread(state_); });
  }

 private:
  LookOut look_out_;  // before the GIL is let go
  PyThreadState* state_;
};

// Within WithoutGil, on the thread that released it.
class WithGil {
 public:
  WithGil() : state_(or_wait_for_the_end(PyGILState_Ensure)) {}
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;
  ~WithGil() { PyGILState_Release(state_); }

 private:
  PyGILState_STATE state_;
};

bool on_main_thread() { return static_cast<pid_t>(syscall(SYS_gettid)) == getpid(); }

// Looks for Ctrl-C (Python handles signals on its main thread only) and reports progress ten times a second. The GIL is
// left alone where neither is wanted.
class PythonPoll {
 public:
  explicit PythonPoll(py::object report = py::none(), const Progress* progress = nullptr)
      : report_(std::move(report)),
        progress_(progress),
        signals_(on_main_thread()),
        reported_(std::chrono::steady_clock::now()) {}

  Poll poll() {
    if (!signals_ && report_.is_none()) return {};
    return {[](void* self) { return static_cast<PythonPoll*>(self)->ask(); }, this};
  }
  // Called with the GIL, after the core has come back.
  void raise_if_interrupted() {
    if (error_) throw py::error_already_set(std::move(*error_));
  }

 private:
  bool ask() {
    look_out_.wait_if_over();
    const WithGil gil;
    return or_wait_for_the_end([this] { return ask_python(); });
  }
  bool ask_python() {
    try {
      if (signals_ && PyErr_CheckSignals() != 0) throw py::error_already_set();
      const auto now = std::chrono::steady_clock::now();
      if (!report_.is_none() && now - reported_ >= std::chrono::milliseconds(100)) {
        reported_ = now;
        // with nothing on this stack that would have to let go of a Python object
        PyObject* result =
            PyObject_CallFunction(report_.ptr(), "nd", static_cast<Py_ssize_t>(progress_->rows.load()), progress_->loss.load());
        if (!result) throw py::error_already_set();
        Py_DECREF(result);
      }
    } catch (py::error_already_set& error) {
      error_.emplace(std::move(error));
      return true;
    }
    return false;
  }

  LookOut look_out_;
  py::object report_;
  const Progress* progress_;
  bool signals_;
  std::chrono::steady_clock::time_point reported_;
  std::optional<py::error_already_set> error_;
};

// One user in training, or any number of readers. A forked child has none of its parent's readers; but what another thread
// trained there stays taken, for its weights are those of the midst of a step.
class Users {
 public:
  class Hold {
   public:
    // patient: waits for readers, each of whom is soon done; Ctrl-C ends it.
    Hold(Users& users, bool alone, bool patient = false) : users_(users), alone_(alone), since_(forks()) {
      State seen = users_.state_.load(), taken;
      do {
        while (patient && seen.since == since_ && seen.count > 0) {
          {
            const WithoutGil release;
            std::this_thread::sleep_for(std::chrono::microseconds(50));
          }
          if (PyErr_CheckSignals() != 0) throw py::error_already_set();
          seen = users_.state_.load();
        }
        const int count = seen.since == since_ ? seen.count : std::min(seen.count, 0);
        if (count < 0) {
          throw std::runtime_error(seen.since == since_ ? "this network is in use: another thread trains it"
                                                        : "this network was in training when this process was forked");
        }
        if (alone && count > 0) {
          throw std::runtime_error("this network is in use: another thread reads it, so it cannot be trained or changed");
        }
        taken = {since_, alone ? -1 : count + 1};
      } while (!users_.state_.compare_exchange_weak(seen, taken));
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      State seen = users_.state_.load();
      while (seen.since == since_ && !users_.state_.compare_exchange_weak(seen, {since_, alone_ ? 0 : seen.count - 1})) {
      }
    }

   private:
    Users& users_;
    bool alone_;
    std::uint32_t since_;
  };
  Hold alone(bool patient = false) { return Hold(*this, true, patient); }
  Hold shared() { return Hold(*this, false); }

 private:
  struct alignas(8) State {
    std::uint32_t since;  // forks() at the last change
    std::int32_t count;   // readers, or -1
  };
  std::atomic<State> state_{State{0, 0}};
};

// One number for each layer, or none at all.
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
  for (std::size_t i = 0; i < norm.size(); ++i) all.layers[i].norm = named<Norm>(kNormNames, norm[i], "norm");
  return all;
}

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
struct PyNetwork {
  PyNetwork(const std::vector<Index>& sizes, const std::vector<std::string>& activations, const std::string& loss,
            double loss_parameter, Regularisation regularisation)
      : network(sizes, activations_named(activations), named<Loss>(kLossNames, loss, "loss"), loss_parameter,
                std::move(regularisation)),
        stages(network) {}

  static std::vector<Activation> activations_named(const std::vector<std::string>& names) {
    std::vector<Activation> list;
    for (const std::string& name : names) list.push_back(named<Activation>(kActivationNames, name, "activation"));
    return list;
  }
  void check_layer(Index l) const {
    if (l < 0 || l >= network.depth())
      throw py::index_error("layer " + std::to_string(l) + " of " + std::to_string(network.depth()));
  }
  // Of arrays laid out as the weights and biases of layer l.
  void check_shapes(Index l, const Array<T>& w, const Array<T>& b, Index vectors = 1) const {
    const DenseLayer<T>& layer = network.layer(l);
    if (w.ndim() != 2 || w.shape(0) != layer.fan_in || w.shape(1) != layer.fan_out || b.ndim() != 1 ||
        b.shape(0) != vectors * layer.fan_out) {
      throw std::invalid_argument("layer " + std::to_string(l) + ": got " + shape_of(w) + " and " + shape_of(b));
    }
  }
  void need_forward() const {
    if (!stages.has_forward()) throw std::runtime_error("nothing there yet: call forward(X) first");
  }
  void need_backward() const {
    if (!stages.has_backward()) throw std::runtime_error("nothing there yet: call forward(X) and backward(y) first");
  }
  // A backward pass needs activations that belong to the weights.
  void need_fresh_forward() const {
    need_forward();
    if (stages.version() != network.version) {
      throw std::runtime_error("the weights have changed since forward(X): call it again before backward()");
    }
  }

  Network<T> network;
  Stages<T> stages;
  Spare<T> spare;
  Users users;
};

template <class T>
Array<T> empty(Index rows, Index cols) {
  return Array<T>(std::vector<py::ssize_t>{rows, cols});
}

// [rows][cols] of panels whose lanes are columns (weights, gradients, transposed deltas).
template <class T>
Array<T> unpack(Panels<T> from, Index rows, Index cols) {
  Array<T> out = empty<T>(rows, cols);
  T* o = out.mutable_data();
  const WithoutGil release;
  for (Index p = 0; p < panels(cols); ++p) {
    const Index lanes = std::min(kLanes, cols - p * kLanes);
    for (Index r = 0; r < rows; ++r) std::copy_n(from.row(p, r), lanes, o + r * cols + p * kLanes);
  }
  return out;
}

template <class T>
Array<T> unpack_vector(const T* from, Index count) {
  Array<T> out(count);
  std::copy_n(from, count, out.mutable_data());
  return out;
}

// The numbers of b, gamma and beta one after the other, from an array laid out as these; b alone where there are no others.
template <class T>
Array<T> unpack_biases(const T* from, const DenseLayer<T>& layer) {
  const Index count = layer.gamma ? 3 : 1;
  Array<T> out(count * layer.fan_out);
  for (Index i = 0; i < count; ++i) {
    std::copy_n(from + i * panels(layer.fan_out) * kLanes, layer.fan_out, out.mutable_data() + i * layer.fan_out);
  }
  return out;
}

// What a layer that normalises has beside w and b: gamma and beta; running mean and variance too where it has them.
template <class T>
std::vector<T*> norm_arrays(const DenseLayer<T>& layer) {
  if (layer.norm == Norm::none) return {};
  if (layer.norm == Norm::layer) return {layer.gamma, layer.beta};
  return {layer.gamma, layer.beta, layer.running_mean, layer.running_variance};
}

template <class T>
Array<T> unpack_rows(const Kernels<T>& kernels, Panels<T> from, Index rows, Index units) {
  Array<T> out = empty<T>(rows, units);
  T* o = out.mutable_data();
  const WithoutGil release;
  unpack_batch(kernels, from, rows, units, o);
  return out;
}

// ... and back.
template <class T>
void pack(const Array<T>& from, Panels<T> to) {
  const Index rows = from.shape(0), cols = from.shape(1);
  for (Index p = 0; p < panels(cols); ++p) {
    const Index lanes = std::min(kLanes, cols - p * kLanes);
    for (Index r = 0; r < rows; ++r) std::copy_n(from.data() + r * cols + p * kLanes, lanes, to.row(p, r));
  }
}

template <class T>
void set_layer(PyNetwork<T>& self, Index l, const Array<T>& w, const Array<T>& b) {
  self.check_layer(l);
  const auto hold = self.users.alone();
  self.check_shapes(l, w, b);
  const DenseLayer<T>& layer = self.network.layer(l);
  pack(w, layer.w);
  std::copy_n(b.data(), layer.fan_out, layer.b);
  ++self.network.version;
}

template <class T>
void fill_layer(PyNetwork<T>& self, Index l, const std::string& distribution, double scale, std::uint64_t seed) {
  self.check_layer(l);
  const Distribution kind = named<Distribution>(kDistributionNames, distribution, "distribution");
  const auto hold = self.users.alone();
  const WithoutGil release;
  fill_weights(self.network, l, kind, scale, seed);
}

enum class Answer : int { outputs = 0, probabilities, decisions };

Answer answer_of(int number) {
  if (number < 0 || number > 2) throw std::invalid_argument("answer: expected 0, 1 or 2, got " + std::to_string(number));
  return static_cast<Answer>(number);
}

template <class T>
bool run_predict(PyNetwork<T>& self, const Rows& rows, Answer answer, py::array& out, int n_threads, int forced, Poll poll) {
  if (answer == Answer::decisions) {
    return classify(self.network, rows, static_cast<std::int64_t*>(out.mutable_data()), n_threads, forced, poll, &self.spare);
  }
  return predict(self.network, rows, answer == Answer::probabilities, static_cast<T*>(out.mutable_data()), n_threads, forced,
                 poll, &self.spare);
}

// (rows,) where there is one output, or one label; else (rows, outputs).
template <class T>
py::array empty_answer(const Network<T>& network, Index rows, Answer answer) {
  const bool labels = answer == Answer::decisions && network.picks_one();
  const py::ssize_t shape[2] = {rows, network.outputs()};
  const py::ssize_t dims = labels || network.outputs() == 1 ? 1 : 2;
  const int type = answer == Answer::decisions ? Numpy::NPY_LONG_ : sizeof(T) == 4 ? Numpy::NPY_FLOAT_ : Numpy::NPY_DOUBLE_;
  auto& api = Numpy::get();
  PyObject* array = api.PyArray_NewFromDescr_(api.PyArray_Type_, api.PyArray_DescrFromType_(type), static_cast<int>(dims),
                                              shape, nullptr, nullptr, 0, nullptr);
  if (!array) throw py::error_already_set();
  return py::reinterpret_steal<py::array>(array);
}

template <class T>
py::array network_predict(PyNetwork<T>& self, const py::array& x, int answer_, int n_threads, int forced) {
  const Answer answer = answer_of(answer_);
  const Rows rows = rows_of(x, self.network.inputs(), "X");
  py::array out = empty_answer(self.network, rows.rows, answer);
  const auto hold = self.users.shared();
  PythonPoll poll;
  {
    const WithoutGil release;
    run_predict(self, rows, answer, out, n_threads, forced, poll.poll());
  }
  poll.raise_if_interrupted();
  return out;
}

// None where X is not taken as it is, or the work is not small.
template <class T>
py::object network_predict_quick(PyNetwork<T>& self, const py::object& x, int answer_) {
  const Answer answer = answer_of(answer_);
  Rows rows;
  if (!view_rows(x, self.network.inputs(), rows) || rows.rows < 1) return py::none();
  if (self.network.flops_per_row() * static_cast<double>(rows.rows) > kQuickFlops) return py::none();
  if (!all_finite(self.network.kernels(), rows)) return py::none();
  py::array out = empty_answer(self.network, rows.rows, answer);
  const auto hold = self.users.shared();
  run_predict(self, rows, answer, out, 1, 0, {});
  return out;
}

template <class T>
std::pair<double, double> network_evaluate(PyNetwork<T>& self, const py::array& x, const py::array& y, int n_threads,
                                           int forced, const std::optional<py::array>& weights) {
  const Rows rows = rows_of(x, self.network.inputs(), "X");
  const Targets targets = targets_of<T>(y, rows.rows, self.network.outputs(), weights);
  const auto hold = self.users.shared();
  PythonPoll poll;
  Score score;
  {
    const WithoutGil release;
    evaluate(self.network, rows, targets, score, n_threads, forced, poll.poll());
  }
  poll.raise_if_interrupted();
  return {score.mean(score.loss), score.mean(score.metric)};
}

template <class T>
void network_forward(PyNetwork<T>& self, const py::array& x, int n_threads, int forced, bool training) {
  const Rows rows = rows_of(x, self.network.inputs(), "X");
  const auto hold = self.users.alone();
  PythonPoll poll;
  {
    const WithoutGil release;
    self.stages.forward(rows, n_threads, forced, poll.poll(), training);
  }
  poll.raise_if_interrupted();
}

template <class T>
double network_backward(PyNetwork<T>& self, const py::array& y, int n_threads, int forced,
                        const std::optional<py::array>& weights) {
  const auto hold = self.users.alone();
  self.need_fresh_forward();
  const Targets targets = targets_of<T>(y, self.stages.rows(), self.network.outputs(), weights);
  PythonPoll poll;
  double loss = 0;
  {
    const WithoutGil release;
    self.stages.backward(targets, loss, n_threads, forced, poll.poll());
  }
  poll.raise_if_interrupted();
  return loss;
}

template <class T>
void network_backward_dz(PyNetwork<T>& self, const py::array& dz, int n_threads, int forced) {
  const auto hold = self.users.alone();
  self.need_fresh_forward();
  const Rows rows = rows_of(dz, self.network.outputs(), "dz");
  if (rows.rows != self.stages.rows()) {
    throw std::invalid_argument("dz: expected " + std::to_string(self.stages.rows()) + " rows, got " +
                                std::to_string(rows.rows));
  }
  PythonPoll poll;
  {
    const WithoutGil release;
    self.stages.backward(rows, n_threads, forced, poll.poll());
  }
  poll.raise_if_interrupted();
}

template <class T>
Array<T> network_output(PyNetwork<T>& self) {
  const auto hold = self.users.shared();
  self.need_forward();
  const Network<T>& network = self.network;
  const Index rows = self.stages.rows(), units = network.outputs();
  const Panels<T> a = self.stages.work().a(network.depth());
  if (network.layers().back().activation == network.output_activation()) return unpack_rows(network.kernels(), a, rows, units);
  Arena<T> copy(panels(rows) * a.rows * kLanes);
  std::copy_n(a.data, copy.size(), copy.data());
  const Panels<T> view{copy.data(), a.rows};
  activate_panels(network.kernels(), view, rows, units, network.output_activation());
  return unpack_rows(network.kernels(), view, rows, units);
}

// gamma, beta, and with batch normalisation the running mean and variance; empty where the layer does not normalise.
template <class T>
std::vector<Array<T>> network_norm(PyNetwork<T>& self, Index l) {
  self.check_layer(l);
  const auto hold = self.users.shared();
  std::vector<Array<T>> all;
  for (const T* array : norm_arrays(self.network.layer(l))) all.push_back(unpack_vector(array, self.network.size_of(l + 1)));
  return all;
}

template <class T>
void set_network_norm(PyNetwork<T>& self, Index l, const std::vector<Array<T>>& given) {
  self.check_layer(l);
  const auto hold = self.users.alone();
  const std::vector<T*> arrays = norm_arrays(self.network.layer(l));
  const Index units = self.network.size_of(l + 1);
  if (given.size() != arrays.size()) {
    throw std::invalid_argument("norm: expected " + std::to_string(arrays.size()) + " arrays, got " +
                                std::to_string(given.size()));
  }
  for (const Array<T>& array : given) {
    if (array.ndim() != 1 || array.shape(0) != units) {
      throw std::invalid_argument("norm: expected shape (" + std::to_string(units) + ",), got " + shape_of(array));
    }
  }
  for (std::size_t i = 0; i < given.size(); ++i) std::copy_n(given[i].data(), units, arrays[i]);
  ++self.network.version;
}

// The gradients of gamma and beta.
template <class T>
std::vector<Array<T>> network_dnorm(PyNetwork<T>& self, Index l) {
  self.check_layer(l);
  const auto hold = self.users.shared();
  self.need_backward();
  const DenseLayer<T>& layer = self.network.layer(l);
  if (layer.norm == Norm::none) return {};
  const T* db = self.network.mirror(l, {self.stages.work().gradients().data()}).g_bias;
  return {unpack_vector(db + (layer.gamma - layer.b), layer.fan_out),
          unpack_vector(db + (layer.beta - layer.b), layer.fan_out)};
}

template <class T>
Array<T> network_dx(PyNetwork<T>& self, int n_threads) {
  const auto hold = self.users.shared();
  self.need_backward();
  if (self.stages.version() != self.network.version) {
    throw std::runtime_error("the weights have changed since backward(): dx can no longer be computed");
  }
  Panels<T> dx;
  Arena<T> memory;
  {
    const WithoutGil release;
    memory = self.stages.input_gradient(dx, n_threads);
  }
  return unpack_rows(self.network.kernels(), dx, self.stages.rows(), self.network.inputs());
}

// The optimiser of one network, whose users are those of the optimiser.
template <class T>
struct PyOptimizer {
  explicit PyOptimizer(PyNetwork<T>& network_) : network(network_), optimizer(network_.network) {}

  // Where a plane of the state has the numbers of layer l: g and g_bias, null where there is no such plane.
  DwTarget<T> plane(int i, Index l) const {
    network.check_layer(l);
    if (i < 0 || i >= Optimizer<T>::kPlanes) throw py::index_error("plane " + std::to_string(i));
    return network.network.mirror(l, {optimizer.plane(i)});
  }
  void check_network(const PyNetwork<T>& other) const {
    if (&other != &network) throw std::invalid_argument("the optimiser belongs to another network");
  }

  PyNetwork<T>& network;
  Optimizer<T> optimizer;
  StoredGradients<T> stored;  // of a step by hand
};

using Group = std::tuple<double, double, double, bool>;  // lr_factor, weight_decay, l1, frozen

template <class T>
void configure_optimizer(PyOptimizer<T>& self, const std::string& rule, double lr, double momentum, double weight_decay,
                         bool nesterov, double dampening, double beta1, double beta2, double eps, double lr_decay,
                         double initial, bool decoupled, bool third, double clip_value, double clip_norm,
                         const std::vector<Group>& groups) {
  OptimizerSettings settings;
  settings.rule = named<Rule>(kRuleNames, rule, "rule");
  settings.lr = lr;
  settings.momentum = momentum;
  settings.weight_decay = weight_decay;
  settings.nesterov = nesterov;
  settings.dampening = dampening;
  settings.beta1 = beta1;
  settings.beta2 = beta2;
  settings.eps = eps;
  settings.lr_decay = lr_decay;
  settings.initial = initial;
  settings.decoupled = decoupled;
  settings.third = third;
  settings.clip_value = clip_value;
  settings.clip_norm = clip_norm;
  std::vector<GroupSettings> list;
  for (const auto& [lr_factor, decay, l1, frozen] : groups) list.push_back({lr_factor, decay, l1, frozen});
  const auto hold = self.network.users.shared();  // those who only predict do not mind; the GIL keeps others out
  self.optimizer.configure(settings, list);
}

template <class T>
std::pair<Array<T>, Array<T>> optimizer_plane(PyOptimizer<T>& self, int i, Index l) {
  const auto hold = self.network.users.shared();
  const DwTarget<T> at = self.plane(i, l);
  if (!at.g.data) throw std::runtime_error("this plane does not exist yet");
  const DenseLayer<T>& layer = self.network.network.layer(l);
  return {unpack(at.g, layer.fan_in, layer.fan_out), unpack_biases(at.g_bias, layer)};
}

template <class T>
void set_optimizer_plane(PyOptimizer<T>& self, int i, Index l, const Array<T>& w, const Array<T>& b) {
  const auto hold = self.network.users.alone();
  self.plane(i, l);  // checks both
  const DenseLayer<T>& layer = self.network.network.layer(l);
  self.network.check_shapes(l, w, b, layer.gamma ? 3 : 1);
  self.optimizer.make_plane(i);
  const DwTarget<T> at = self.plane(i, l);
  pack(w, at.g);
  for (Index k = 0; k < b.size() / layer.fan_out; ++k) {
    std::copy_n(b.data() + k * layer.fan_out, layer.fan_out, at.g_bias + k * panels(layer.fan_out) * kLanes);
  }
}

template <class T>
void network_apply(PyNetwork<T>& self, PyOptimizer<T>& optimizer, int n_threads) {
  const auto hold = self.users.alone();
  self.need_backward();
  optimizer.check_network(self);
  const WithoutGil release;
  apply_update(self.network, self.stages.work().gradients(), optimizer.optimizer, optimizer.stored, n_threads);
}

template <class T>
struct PyTrainer {
  explicit PyTrainer(PyNetwork<T>& network_) : network(network_), trainer(network_.network) {}
  PyNetwork<T>& network;
  Trainer<T> trainer;
  std::vector<std::int32_t> labels;  // of a step
};

template <class T>
py::tuple trainer_epoch(PyTrainer<T>& self, PyOptimizer<T>& optimizer, const py::array& x, const py::array& y, Index batch_size,
                        bool shuffle, bool snapshot, std::uint64_t seed, std::uint32_t epoch, int n_threads, int forced,
                        py::object report, const std::optional<Array<double>>& lr, Index first, Index last, bool gradient_norms,
                        const std::optional<py::array>& weights, bool patient) {
  const auto hold = self.network.users.alone(patient);
  EpochArgs<T> args;
  args.x = rows_of(x, self.network.network.inputs(), "X");
  args.y = targets_of<T>(y, args.x.rows, self.network.network.outputs(), weights);
  if (batch_size < 1 || args.x.rows < 1) throw std::invalid_argument("expected at least one row, and batches of at least one");
  optimizer.check_network(self.network);
  const Index steps = (args.x.rows - 1) / batch_size + 1;
  if (lr && (lr->ndim() != 1 || lr->shape(0) != steps)) {
    throw std::invalid_argument("lr: expected one for each of " + std::to_string(steps) + " steps, got " + shape_of(*lr));
  }
  if (first < 0 || first >= steps || (last >= 0 && last < first)) throw std::invalid_argument("no such steps");
  args.lr = lr ? lr->data() : nullptr;
  args.first = first;
  args.last = last;
  args.gradient_norms = gradient_norms;
  args.batch = batch_size;
  args.shuffle = shuffle;
  args.snapshot = snapshot;
  args.seed = seed;
  args.epoch = epoch;
  args.n_threads = n_threads;
  args.forced = forced;
  PythonPoll poll(std::move(report), &self.trainer.progress());
  args.poll = poll.poll();
  EpochResult result;
  {
    const WithoutGil release;
    result = self.trainer.epoch(args, optimizer.optimizer);
  }
  poll.raise_if_interrupted();
  const Score& score = result.score;
  return py::make_tuple(result.end == EpochEnd::diverged, score.loss, score.metric, score.weight, result.bad_step,
                        result.bad_loss, result.team);
}

// One batch as it is; its mean loss, or None where the arrays are not taken as they are or the loss is not finite. Then
// nothing has changed, and the caller takes the long way.
template <class T>
py::object trainer_step(PyTrainer<T>& self, PyOptimizer<T>& optimizer, const py::object& x, const py::object& y, int n_threads,
                        int forced) {
  const Network<T>& network = self.network.network;
  EpochArgs<T> args;
  if (!view_rows(x, network.inputs(), args.x) || args.x.rows < 1 || &optimizer.network != &self.network) return py::none();
  const auto hold = self.network.users.alone();
  if (!all_finite(network.kernels(), args.x) || !quick_targets(y, network, args.x.rows, self.labels, args.y)) return py::none();
  args.batch = args.x.rows;
  args.snapshot = false;
  args.n_threads = n_threads;
  args.forced = forced;
  EpochResult result;
  if (network.flops_per_row() * static_cast<double>(args.x.rows) <= kQuickFlops && forced == 0) {
    result = self.trainer.epoch(args, optimizer.optimizer);
  } else {
    PythonPoll poll;
    args.poll = poll.poll();
    {
      const WithoutGil release;
      result = self.trainer.epoch(args, optimizer.optimizer);
    }
    poll.raise_if_interrupted();
  }
  if (result.end != EpochEnd::finished) return py::none();
  return py::float_(result.score.mean(result.score.loss));
}

template <class T>
Place nonfinite_place(const Rows& rows, int n_threads) {
  Place place;
  PythonPoll poll;
  {
    const WithoutGil release;
    place = find_nonfinite(active_kernels<T>(), rows, n_threads, poll.poll());
  }
  poll.raise_if_interrupted();
  return place;
}

// Whether x has rows of so many numbers, is read where it lies, and is finite. Few numbers are not worth a release of the GIL.
template <class T>
bool takes(const py::object& x, Index cols) {
  Rows rows;
  if (!view_rows(x, cols, rows) || rows.rows > std::numeric_limits<std::uint32_t>::max()) return false;
  const bool few = static_cast<double>(rows.rows) * static_cast<double>(cols) <= kFewNumbers;
  return (few ? find_nonfinite(active_kernels<T>(), rows, 1) : nonfinite_place<T>(rows, 0)).row < 0;
}

template <class T>
void bind(py::module_& m, const std::string& suffix) {
  using Net = PyNetwork<T>;
  using State = PyOptimizer<T>;
  // both are named before any signature shows them
  py::class_<Net> network(m, ("Network" + suffix).c_str());
  py::class_<State> optimizer(m, ("Optimizer" + suffix).c_str());

  optimizer.def(py::init<Net&>(), py::arg("network"), py::keep_alive<1, 2>())
      .def("configure", &configure_optimizer<T>, py::arg("rule"), py::arg("lr"), py::arg("momentum"), py::arg("weight_decay"),
           py::arg("nesterov"), py::arg("dampening"), py::arg("beta1"), py::arg("beta2"), py::arg("eps"), py::arg("lr_decay"),
           py::arg("initial"), py::arg("decoupled"), py::arg("third"), py::arg("clip_value"), py::arg("clip_norm"),
           py::arg("groups"))
      .def("clear",
           [](State& self) {
             const auto hold = self.network.users.alone();
             self.optimizer.clear();
           })
      .def("steps",
           [](State& self) {
             const auto hold = self.network.users.shared();
             return self.optimizer.steps();
           })
      .def(
          "set_steps",
          [](State& self, Index steps) {
            const auto hold = self.network.users.alone();
            self.optimizer.set_steps(steps);
          },
          py::arg("steps"))
      .def("planes",
           [](State& self) {
             const auto hold = self.network.users.shared();
             std::vector<bool> there;
             for (int i = 0; i < Optimizer<T>::kPlanes; ++i) there.push_back(self.optimizer.plane(i) != nullptr);
             return there;
           })
      .def("plane", &optimizer_plane<T>, py::arg("plane"), py::arg("layer"))
      .def("set_plane", &set_optimizer_plane<T>, py::arg("plane"), py::arg("layer"), py::arg("w").noconvert(),
           py::arg("b").noconvert());

  network
      .def(py::init([](const std::vector<Index>& sizes, const std::vector<std::string>& activations, const std::string& loss,
                       double loss_parameter, std::uint64_t seed, double input_dropout, double input_noise,
                       const std::vector<double>& dropout, const std::vector<double>& max_norm,
                       const std::vector<std::string>& norm) {
             return std::make_unique<Net>(sizes, activations, loss, loss_parameter,
                                          regularisation_of(seed, input_dropout, input_noise, dropout, max_norm, norm));
           }),
           py::arg("sizes"), py::arg("activations"), py::arg("loss"), py::arg("loss_parameter") = 0.0, py::arg("seed") = 0,
           py::arg("input_dropout") = 0.0, py::arg("input_noise") = 0.0, py::arg("dropout") = std::vector<double>(),
           py::arg("max_norm") = std::vector<double>(), py::arg("norm") = std::vector<std::string>())
      .def("steps",
           [](Net& self) {
             const auto hold = self.users.shared();
             return self.network.steps;
           })
      .def(
          "set_steps",
          [](Net& self, std::uint64_t steps) {
            const auto hold = self.users.alone();
            self.network.steps = steps;
          },
          py::arg("steps"))
      .def("set_layer", &set_layer<T>, py::arg("layer"), py::arg("w").noconvert(), py::arg("b").noconvert())
      .def("fill", &fill_layer<T>, py::arg("layer"), py::arg("distribution"), py::arg("scale"), py::arg("seed"))
      .def(
          "weights",
          [](Net& self, Index l) {
            self.check_layer(l);
            const auto hold = self.users.shared();
            const DenseLayer<T>& layer = self.network.layer(l);
            return unpack(layer.w, layer.fan_in, layer.fan_out);
          },
          py::arg("layer"))
      .def(
          "biases",
          [](Net& self, Index l) {
            self.check_layer(l);
            const auto hold = self.users.shared();
            return unpack_vector(self.network.layer(l).b, self.network.layer(l).fan_out);
          },
          py::arg("layer"))
      .def(
          "copy_from",
          [](Net& self, Net& other) {
            if (&self == &other) return;
            const auto hold = self.users.alone();
            const auto read = other.users.shared();
            const Arena<T>&to = self.network.parameters(), &from = other.network.parameters();
            bool same = self.network.depth() == other.network.depth();
            for (Index l = 0; same && l <= self.network.depth(); ++l) {
              same = self.network.size_of(l) == other.network.size_of(l);
              if (same && l > 0) same = self.network.norm(l) == other.network.norm(l);
            }
            if (!same) throw std::invalid_argument("the layers of the two networks differ");
            std::copy_n(from.data(), from.size(), to.data());
            std::copy_n(other.network.statistics().data(), other.network.statistics().size(), self.network.statistics().data());
            ++self.network.version;
          },
          py::arg("other"))
      .def("forward", &network_forward<T>, py::arg("x"), py::arg("n_threads") = 0, py::arg("forced") = 0,
           py::arg("training") = false)
      .def("backward", &network_backward<T>, py::arg("y"), py::arg("n_threads") = 0, py::arg("forced") = 0,
           py::arg("weights") = py::none())
      .def("backward_dz", &network_backward_dz<T>, py::arg("dz"), py::arg("n_threads") = 0, py::arg("forced") = 0)
      .def("apply", &network_apply<T>, py::arg("optimizer"), py::arg("n_threads") = 0)
      .def("output", &network_output<T>)
      .def("batch_rows",
           [](Net& self) {
             const auto hold = self.users.shared();
             self.need_fresh_forward();
             return self.stages.rows();
           })
      .def(
          "z",
          [](Net& self, Index l) {
            self.check_layer(l);
            const auto hold = self.users.shared();
            self.need_forward();
            return unpack_rows(self.network.kernels(), self.stages.work().z(l + 1), self.stages.rows(),
                               self.network.size_of(l + 1));
          },
          py::arg("layer"))
      .def(
          "a",
          [](Net& self, Index l) {
            if (l != 0) self.check_layer(l - 1);
            const auto hold = self.users.shared();
            self.need_forward();
            return unpack_rows(self.network.kernels(), self.stages.work().a(l), self.stages.rows(), self.network.size_of(l));
          },
          py::arg("level"))
      .def(
          "delta",
          [](Net& self, Index l) {
            self.check_layer(l);
            const auto hold = self.users.shared();
            self.need_backward();
            return unpack(self.stages.work().delta_t(l + 1), self.stages.rows(), self.network.size_of(l + 1));
          },
          py::arg("layer"))
      .def(
          "dw",
          [](Net& self, Index l) {
            self.check_layer(l);
            const auto hold = self.users.shared();
            self.need_backward();
            const DwTarget<T> at = self.network.mirror(l, {self.stages.work().gradients().data()});
            return unpack(at.g, self.network.size_of(l), self.network.size_of(l + 1));
          },
          py::arg("layer"))
      .def(
          "db",
          [](Net& self, Index l) {
            self.check_layer(l);
            const auto hold = self.users.shared();
            self.need_backward();
            return unpack_vector(self.network.mirror(l, {self.stages.work().gradients().data()}).g_bias,
                                 self.network.size_of(l + 1));
          },
          py::arg("layer"))
      .def("norm", &network_norm<T>, py::arg("layer"))
      .def("set_norm", &set_network_norm<T>, py::arg("layer"), py::arg("arrays"))
      .def("dnorm", &network_dnorm<T>, py::arg("layer"))
      .def("dx", &network_dx<T>, py::arg("n_threads") = 0)
      .def("predict", &network_predict<T>, py::arg("x"), py::arg("answer"), py::arg("n_threads") = 0, py::arg("forced") = 0)
      .def("predict_quick", &network_predict_quick<T>, py::arg("x"), py::arg("answer"))
      .def("evaluate", &network_evaluate<T>, py::arg("x"), py::arg("y"), py::arg("n_threads") = 0, py::arg("forced") = 0,
           py::arg("weights") = py::none())
      .def("find_nonfinite_weight",
           [](Net& self) -> std::optional<Index> {
             const auto hold = self.users.shared();
             const WithoutGil release;
             const Index layer = find_nonfinite_layer(self.network);
             return layer < 0 ? std::nullopt : std::optional<Index>(layer);
           })
      .def_static(
          "find_nonfinite",
          [](const py::array& x, int n_threads) -> std::optional<std::pair<Index, Index>> {
            const Place place = nonfinite_place<T>(rows_of(x, x.ndim() == 2 ? x.shape(1) : 0, "X"), n_threads);
            if (place.row < 0) return std::nullopt;
            return std::pair{place.row, place.col};
          },
          py::arg("x"), py::arg("n_threads") = 0)
      .def_static("takes", &takes<T>, py::arg("x"), py::arg("cols"));

  py::class_<PyTrainer<T>>(m, ("Trainer" + suffix).c_str())
      .def(py::init<Net&>(), py::arg("network"), py::keep_alive<1, 2>())
      .def("epoch", &trainer_epoch<T>, py::arg("optimizer"), py::arg("x"), py::arg("y"), py::arg("batch_size"),
           py::arg("shuffle"), py::arg("snapshot"), py::arg("seed"), py::arg("epoch"), py::arg("n_threads") = 0,
           py::arg("forced") = 0, py::arg("report") = py::none(), py::arg("lr").noconvert() = py::none(), py::arg("first") = 0,
           py::arg("last") = -1, py::arg("gradient_norms") = false, py::arg("weights") = py::none(), py::arg("patient") = false)
      .def("gradient_norms",
           [](PyTrainer<T>& self) {
             const auto hold = self.network.users.shared();
             return self.trainer.gradient_norms();
           })
      .def("step", &trainer_step<T>, py::arg("optimizer"), py::arg("x"), py::arg("y"), py::arg("n_threads") = 0,
           py::arg("forced") = 0);
}

}  // namespace
}  // namespace retrograd

PYBIND11_MODULE(_core, m) {
  using namespace retrograd;
  m.doc() = "The compiled core of retrograd. Private: use the package.";
  active_table();  // a wrong RETROGRAD_ISA fails here, at import
  Numpy::get();    // looked up now: the first call may be a daemon thread's, which the interpreter's end may meet in it

  m.attr("__version__") = RETROGRAD_VERSION;
  m.attr("ACTIVATIONS") = names_tuple(kActivationNames);
  m.attr("LOSSES") = names_tuple(kLossNames);
  bind<float>(m, "F32");
  bind<double>(m, "F64");

  m.def("isa", [] { return active_table().isa; });
  m.def("fused", [] { return active_table().fused; });
  m.def("available_isas", [] {
    std::vector<std::string> names;
    for (const KernelTable* table : available_tables()) names.emplace_back(table->isa);
    return names;
  });
  m.def("labels", &labels_of, py::arg("y"), py::arg("rows"), py::arg("outputs"));
  m.def("max_threads", &max_threads);
  m.def("cgroup_cpus", &cgroup_cpus, py::arg("root"));
  m.def("openmp", &openmp_description);
#if defined(__clang__)
  m.def("compiler", [] { return __VERSION__; });  // "Clang 14.0.6"
#else
  m.def("compiler", [] { return "GCC " __VERSION__; });
#endif
  m.def(
      "permutation",
      [](std::uint64_t seed, std::uint32_t epoch, std::uint32_t n) {
        Array<std::uint32_t> order(n);
        std::uint32_t* o = order.mutable_data();
        const WithoutGil release;
        permutation(seed, epoch, n, o);
        return order;
      },
      py::arg("seed"), py::arg("epoch"), py::arg("n"));
}
