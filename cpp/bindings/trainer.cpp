// The Python class of a trainer: an epoch or a part of one, and a single step. No algorithm is here.
#include "bindings/objects.h"

namespace retrograd {
namespace {

// The settings of an epoch, besides its data.
struct EpochOptions {
  Index batch_size = 1;
  bool shuffle = false;
  bool drop_last = false;
  bool snapshot = true;
  std::uint64_t seed = 0;
  std::uint32_t epoch = 0;
  int n_threads = 0;
  py::object report = py::none();   // called with the rows and the loss so far
  std::optional<Array<double>> lr;  // the learning rate of each step of the epoch
  Index first = 0, last = -1;       // the steps to take
  bool gradient_norms = false;
  bool patient = false;             // wait for calls that read the network
  bool by_batch = false;            // row weights are divided by their sum in the batch, not by its rows
  py::object average = py::none();  // the network that the running average is kept in
  double tau = 1;
};

template <class T>
EpochResult trainer_epoch(PyTrainer<T>& self, PyOptimizer<T>& optimizer, const py::array& x, const py::array& y,
                          const std::optional<py::array>& row_weights, const EpochOptions& options) {
  const NetworkUse::Kind kind = options.patient ? NetworkUse::alone_patiently : NetworkUse::alone;
  const NetworkUse use(self.network.users, kind);
  EpochArgs<T> args;
  const py::object average = options.average;  // lives as long as the call, as lr below
  std::optional<NetworkUse> use_of_average;
  if (!average.is_none()) {
    auto& other = average.cast<PyNetwork<T>&>();
    if (&other == &self.network) throw std::invalid_argument("average: expected another network than the one in training");
    use_of_average.emplace(other.users, kind);
    args.average = &other.network;
    args.tau = options.tau;
  }
  args.x = rows_of(x, self.network.network.inputs(), "X");
  args.y = targets_of<T>(y, args.x.rows, self.network.network.outputs(), row_weights);
  args.y.by_batch = options.by_batch;
  if (options.batch_size < 1 || args.x.rows < 1) {
    throw std::invalid_argument("expected at least one row, and batches of at least one");
  }
  optimizer.check_network(self.network);
  const Index steps = steps_of(args.x.rows, options.batch_size, options.drop_last);
  const Index first = options.first, last = options.last;
  if (options.lr && (options.lr->ndim() != 1 || options.lr->shape(0) != steps)) {
    throw std::invalid_argument("lr: expected one for each of " + std::to_string(steps) + " steps, got " +
                                shape_of(*options.lr));
  }
  if (first < 0 || (first > 0 && first >= steps) || (last >= 0 && last < first)) throw std::invalid_argument("no such steps");
  const std::optional<Array<double>> lr = options.lr;  // a copy that lives as long as the call, whatever becomes of the options
  args.lr = lr ? lr->data() : nullptr;
  args.first = first;
  args.last = last;
  args.gradient_norms = options.gradient_norms;
  args.batch = options.batch_size;
  args.shuffle = options.shuffle;
  args.drop_last = options.drop_last;
  args.snapshot = options.snapshot;
  args.seed = options.seed;
  args.epoch = options.epoch;
  args.threads = self.network.threads(options.n_threads);
  args.planning = self.network.planning;
  PythonPoll poll(options.report, &self.trainer.progress());
  args.poll = poll.poll();
  EpochResult result;
  {
    const WithoutGil release;
    result = self.trainer.epoch(args, optimizer.optimizer);
  }
  poll.raise_if_interrupted();
  self.team = result.team;
  return result;
}

// Quick form: one step on one batch as it is; returns its loss. It returns None, and has changed
// nothing, also where the loss is not finite.
template <class T>
py::object trainer_step(PyTrainer<T>& self, PyOptimizer<T>& optimizer, const py::object& x, const py::object& y, int n_threads,
                        const py::handle& row_weights, bool by_batch) {
  if (&optimizer.network != &self.network) return py::none();
  const Network<T>& network = self.network.network;
  QuickBatch<T> batch(x, y, row_weights);
  const auto use = self.network.alone();
  EpochArgs<T> args;
  if (!batch.take(network, self.buffers, args.x, args.y)) return py::none();
  args.y.by_batch = by_batch;
  args.batch = args.x.rows;
  args.snapshot = false;
  args.threads = self.network.threads(n_threads);
  args.planning = self.network.planning;
  EpochResult result;
  if (self.network.takes_quickly(args.x.rows)) {
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
  return py::float_(batch_loss(args.y, result.score, args.x.rows));
}

template <class T>
void define_trainer(py::module_& m, const char* name) {
  py::class_<PyTrainer<T>>(m, name)
      .def(py::init<PyNetwork<T>&>(), py::arg("network"), py::keep_alive<1, 2>())
      .def("epoch", &trainer_epoch<T>, py::arg("optimizer"), py::arg("x"), py::arg("y"), py::arg("row_weights"),
           py::arg("options"))
      .def("gradient_norms",
           [](PyTrainer<T>& self) {
             const auto use = self.network.shared();
             return self.trainer.gradient_norms();
           })
      .def("team", [](const PyTrainer<T>& self) { return self.team; })
      .def("plan",
           [](PyTrainer<T>& self) {
             const auto use = self.network.shared();
             const Planned<T>& planned = self.trainer.planned();
             return std::make_tuple(planned.names(), planned.best(), planned.reason());
           })
      // Two functions, for pybind11 takes memory from the heap where there are more than 6 arguments.
      .def(
          "step",
          [](PyTrainer<T>& self, PyOptimizer<T>& optimizer, const py::object& x, const py::object& y, int n_threads) {
            return trainer_step(self, optimizer, x, y, n_threads, py::none(), false);
          },
          py::arg("optimizer"), py::arg("x"), py::arg("y"), py::arg("n_threads") = 0)
      .def("step_weighted", &trainer_step<T>, py::arg("optimizer"), py::arg("x"), py::arg("y"), py::arg("n_threads"),
           py::arg("row_weights"), py::arg("by_batch"));
}

}  // namespace

void register_trainers(py::module_& m) {
  py::class_<EpochOptions>(m, "EpochOptions")
      .def(py::init<>())
      .def_readwrite("batch_size", &EpochOptions::batch_size)
      .def_readwrite("shuffle", &EpochOptions::shuffle)
      .def_readwrite("drop_last", &EpochOptions::drop_last)
      .def_readwrite("snapshot", &EpochOptions::snapshot)
      .def_readwrite("seed", &EpochOptions::seed)
      .def_readwrite("epoch", &EpochOptions::epoch)
      .def_readwrite("n_threads", &EpochOptions::n_threads)
      .def_readwrite("report", &EpochOptions::report)
      .def_readwrite("lr", &EpochOptions::lr)
      .def_readwrite("first", &EpochOptions::first)
      .def_readwrite("last", &EpochOptions::last)
      .def_readwrite("gradient_norms", &EpochOptions::gradient_norms)
      .def_readwrite("patient", &EpochOptions::patient)
      .def_readwrite("by_batch", &EpochOptions::by_batch)
      .def_readwrite("average", &EpochOptions::average)
      .def_readwrite("tau", &EpochOptions::tau);
  py::class_<EpochResult>(m, "EpochResult")
      .def_property_readonly("diverged", [](const EpochResult& r) { return r.end == EpochEnd::diverged; })
      .def_property_readonly("loss", [](const EpochResult& r) { return r.score.loss; })
      .def_property_readonly("metric", [](const EpochResult& r) { return r.score.metric; })
      .def_property_readonly("weight", [](const EpochResult& r) { return r.score.weight; })
      .def_readonly("bad_step", &EpochResult::bad_step)
      .def_readonly("bad_loss", &EpochResult::bad_loss);
  define_trainer<float>(m, "TrainerF32");
  define_trainer<double>(m, "TrainerF64");
}

}  // namespace retrograd
