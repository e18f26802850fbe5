// The Python classes of an optimiser and of its settings. No algorithm is here.
#include "bindings/names.h"
#include "bindings/objects.h"

namespace retrograd {
namespace {

using Group = std::tuple<double, double, double, bool>;  // lr_factor, weight_decay, l1, frozen

template <class T>
void configure_optimizer(PyOptimizer<T>& self, const OptimizerSettings& settings, const std::vector<Group>& groups) {
  std::vector<GroupSettings> list;
  for (const auto& [lr_factor, decay, l1, frozen] : groups) list.push_back({lr_factor, decay, l1, frozen});
  const auto use = self.network.shared();  // calls that only predict may run meanwhile; the GIL keeps out everything else
  self.optimizer.configure(settings, list);
}

// The learning rate alone, which may change before every step; the other settings must have been told before.
template <class T>
void set_rate(PyOptimizer<T>& self, double lr) {
  const auto use = self.network.shared();  // as above
  self.optimizer.set_rate(lr);
}

template <class T>
Array<T> get_plane(PyOptimizer<T>& self, int i, const std::string& name, Index l) {
  const auto use = self.network.shared();
  const ParameterArray& array = self.network.array_of(name, l, true);
  self.check_plane(i);
  if (!self.optimizer.plane(i)) throw std::runtime_error("this plane does not exist yet");
  return unpack_parameter(array, self.optimizer.plane(i));
}

template <class T>
void set_plane(PyOptimizer<T>& self, int i, const std::string& name, Index l, const Array<T>& values) {
  const auto use = self.network.alone();
  const ParameterArray& array = self.network.array_of(name, l, true);
  self.check_plane(i);
  check_shape(array, values);
  self.optimizer.make_plane(i);
  pack_parameter(array, values, self.optimizer.plane(i));
}

template <class T>
std::vector<bool> planes(PyOptimizer<T>& self) {
  const auto use = self.network.shared();
  std::vector<bool> there;
  for (int i = 0; i < Optimizer<T>::kPlanes; ++i) there.push_back(self.optimizer.plane(i) != nullptr);
  return there;
}

}  // namespace

template <class T>
void define_optimizer(py::class_<PyOptimizer<T>>& optimizer) {
  using State = PyOptimizer<T>;
  optimizer.def(py::init<PyNetwork<T>&>(), py::arg("network"), py::keep_alive<1, 2>())
      .def("configure", &configure_optimizer<T>, py::arg("settings"), py::arg("groups"))
      .def("set_rate", &set_rate<T>, py::arg("lr"))
      .def("clear",
           [](State& self) {
             const auto use = self.network.alone();
             self.optimizer.clear();
           })
      .def("steps",
           [](State& self) {
             const auto use = self.network.shared();
             return self.optimizer.steps();
           })
      .def(
          "set_steps",
          [](State& self, Index steps) {
            const auto use = self.network.alone();
            self.optimizer.set_steps(steps);
          },
          py::arg("steps"))
      .def("planes", &planes<T>)
      .def("plane", &get_plane<T>, py::arg("plane"), py::arg("name"), py::arg("layer"))
      .def("set_plane", &set_plane<T>, py::arg("plane"), py::arg("name"), py::arg("layer"), py::arg("values").noconvert());
}

template void define_optimizer(py::class_<PyOptimizer<float>>&);
template void define_optimizer(py::class_<PyOptimizer<double>>&);

void register_optimizer_settings(py::module_& m) {
  py::class_<OptimizerSettings>(m, "OptimizerSettings")
      .def(py::init([](const std::string& rule) {
             OptimizerSettings settings;
             settings.rule = kind_named(kRules, rule, "rule");
             return settings;
           }),
           py::arg("rule"))
      .def_readwrite("lr", &OptimizerSettings::lr)
      .def_readwrite("momentum", &OptimizerSettings::momentum)
      .def_readwrite("weight_decay", &OptimizerSettings::weight_decay)
      .def_readwrite("nesterov", &OptimizerSettings::nesterov)
      .def_readwrite("dampening", &OptimizerSettings::dampening)
      .def_readwrite("beta1", &OptimizerSettings::beta1)
      .def_readwrite("beta2", &OptimizerSettings::beta2)
      .def_readwrite("eps", &OptimizerSettings::eps)
      .def_readwrite("lr_decay", &OptimizerSettings::lr_decay)
      .def_readwrite("initial", &OptimizerSettings::initial)
      .def_readwrite("decoupled", &OptimizerSettings::decoupled)
      .def_readwrite("amsgrad", &OptimizerSettings::amsgrad)
      .def_readwrite("centered", &OptimizerSettings::centered)
      .def_readwrite("clip_value", &OptimizerSettings::clip_value)
      .def_readwrite("clip_norm", &OptimizerSettings::clip_norm);
}

}  // namespace retrograd
