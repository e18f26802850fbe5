// The module retrograd._core: it registers what each room of this folder exports, and defines what is
// only a line or two. This folder is the only one that knows Python. Arrays must already be what the
// core takes (the Python layer coerces them); anything else is a TypeError or ValueError.
#include "base/random.h"
#include "bindings/names.h"
#include "bindings/objects.h"
#include "kernels/dispatch.h"

namespace retrograd {
namespace {

constexpr const char* kTargetNames[] = {"numbers", "counts", "shares", "signs", "labels", "probabilities"};
constexpr const char* kDecisionNames[] = {"nothing", "rates", "sign", "label"};

const char* text(TargetKind kind) { return kTargetNames[static_cast<std::size_t>(kind)]; }
const char* text(Decision decision) { return kDecisionNames[static_cast<std::size_t>(decision)]; }

// Lists (name, layer, shape, learned) of each array of a network, in the order of network/parameters.h.
py::list parameter_table(const std::vector<Index>& sizes, const std::vector<std::string>& norms,
                         const std::vector<bool>& biases) {
  for (const std::size_t count : {norms.size(), biases.size()}) {
    if (count + 1 != sizes.size()) throw std::invalid_argument("norms, biases: expected one for each layer");
  }
  std::vector<Norm> kinds;
  for (const std::string& name : norms) kinds.push_back(kind_named(kNorms, name, "norm"));
  const ParameterTable table(sizes, kinds, biases);
  py::list all;
  for (const ParameterArray& array : table.arrays()) {
    py::tuple shape = py::make_tuple(array.rows, array.cols);
    if (array.vector()) shape = py::make_tuple(array.cols);
    all.append(py::make_tuple(name_of(array.kind), array.layer, shape, array.learned()));
  }
  return all;
}

// Exports the tables of base/kinds.h as dicts by name.
void register_facts(py::module_& m) {
  using namespace py::literals;
  py::dict activations, losses;
  for (const ActivationFacts& facts : kActivations) {
    activations[facts.name] = py::dict("init"_a = facts.init, "derived_from_z"_a = facts.derived_from_z, "odd"_a = facts.odd,
                                       "last_only"_a = facts.last_only, "low"_a = facts.low, "high"_a = facts.high);
  }
  for (const LossFacts& facts : kLosses) {
    losses[facts.name] =
        py::dict("applies"_a = facts_of(facts.applies).name, "targets"_a = text(facts.targets),
                 "targets_of_several"_a = text(facts.targets_many), "decides"_a = text(decision_of(facts.targets)),
                 "decides_of_several"_a = text(decision_of(facts.targets_many)), "parameter_name"_a = facts.parameter_name,
                 "parameter"_a = facts.parameter, "odd_output"_a = facts.odd_output);
  }
  m.attr("ACTIVATIONS") = activations;
  m.attr("LOSSES") = losses;
  m.attr("NORM_EPS") = kNormEps;
  m.def("parameter_table", &parameter_table, py::arg("sizes"), py::arg("norms"), py::arg("biases"));
}

void register_networks_and_optimizers(py::module_& m) {
  register_optimizer_settings(m);
  // Networks and optimisers know each other, so all are named before any signature shows them.
  py::class_<PyNetwork<float>> network32(m, "NetworkF32");
  py::class_<PyNetwork<double>> network64(m, "NetworkF64");
  py::class_<PyOptimizer<float>> optimizer32(m, "OptimizerF32");
  py::class_<PyOptimizer<double>> optimizer64(m, "OptimizerF64");
  define_network(network32);
  define_network(network64);
  define_optimizer(optimizer32);
  define_optimizer(optimizer64);
}

void register_machine(py::module_& m) {
  m.def("isa", [] { return active_table().isa; });
  m.def("fused", [] { return active_table().fused; });
  m.def("available_isas", [] {
    std::vector<std::string> names;
    for (const KernelTable* table : available_tables()) names.emplace_back(table->isa);
    return names;
  });
  m.def("max_threads", &max_threads);
  m.def("plans_are_measured", &plans_are_measured);
  m.def("plans_forget", &plans_forget);
  m.def("cgroup_cpus", &cgroup_cpus, py::arg("root"));
  m.def("openmp", &openmp_description);
#if defined(__clang__)
  m.def("compiler", [] { return __VERSION__; });  // "Clang 14.0.6"
#else
  m.def("compiler", [] { return "GCC " __VERSION__; });
#endif
}

py::array permutation_of(std::uint64_t seed, std::uint32_t epoch, std::uint32_t n) {
  Array<std::uint32_t> order(n);
  std::uint32_t* o = order.mutable_data();
  const WithoutGil release;
  permutation(seed, epoch, n, o);
  return order;
}

}  // namespace
}  // namespace retrograd

PYBIND11_MODULE(_core, m) {
  using namespace retrograd;
  m.doc() = "The compiled core of retrograd. Private: use the package.";
  active_table();        // a wrong RETROGRAD_ISA fails here, at import
  plans_are_measured();  // and so does a wrong RETROGRAD_PLAN
  Numpy::get();          // looked up now, because a daemon thread's first call may meet the end of the interpreter in it

  m.attr("__version__") = RETROGRAD_VERSION;
  register_facts(m);
  register_networks_and_optimizers(m);
  register_trainers(m);
  register_machine(m);
  m.def("labels", &labels_of, py::arg("y"), py::arg("rows"), py::arg("outputs"));
  m.def(
      "within",
      [](const py::array& y, double low, double high) {
        return all_within(rows_of(y, y.ndim() == 2 ? y.shape(1) : 0, "y"), low, high);
      },
      py::arg("y"), py::arg("low"), py::arg("high"));
  m.def("permutation", &permutation_of, py::arg("seed"), py::arg("epoch"), py::arg("n"));
}
