#include <memory>
#include <mutex>

#include "albench/facility_location.hpp"
#include "albench/optimizers.hpp"
#include "albench/similarity.hpp"
#include "convert.hpp"
#include "register.hpp"

namespace albench::bindings {
namespace {

Metric metric_from(const std::string& name) {
  if (name == "cosine") return Metric::cosine;
  if (name == "dot") return Metric::dot;
  if (name == "euclidean") return Metric::euclidean;
  if (name == "rbf") return Metric::rbf;
  throw InputError("metric", "'cosine', 'dot', 'euclidean' or 'rbf'", "'" + name + "'");
}

py::array_t<float> similarity_of(const py::array& x, const py::array& q, const std::string& metric,
                                 const py::object& scale, int n_threads) {
  const Features rows = features("X", x);
  const Features queries = features("Q", q);
  if (rows.cols != queries.cols)
    throw InputError("Q", "shape (q, " + std::to_string(rows.cols) + ")", shape_of(q));
  const std::vector<double> factors = doubles("scale", scale, rows.cols);
  const Metric chosen = metric_from(metric);
  py::array_t<float> out({rows.rows, queries.rows});
  float* to = out.mutable_data();
  {
    const py::gil_scoped_release release;
    const QueryPanels panels(queries, chosen, factors.empty() ? nullptr : factors.data());
    ThreadPool pool(n_threads);
    similarity(rows, panels, to, pool, poll_signals);
  }
  return out;
}

// A set function with what it borrows, and a lock: two Python threads must not drive one memo.
struct Function {
  std::unique_ptr<SetFunction> f;
  py::object borrowed;
  std::mutex in_use;
};

std::unique_ptr<Function> facility_location(const FloatMatrix& s, const py::object& weights, double eta,
                                            int n_threads) {
  if (s.ndim() != 2) throw InputError("S", "a matrix (n, q)", "shape " + shape_of(s));
  std::vector<double> w = doubles("weights", weights, s.shape(1));
  auto made = std::make_unique<Function>();
  made->borrowed = s;
  const float* data = s.data();
  const Index n = s.shape(0);
  const Index q = s.shape(1);
  const py::gil_scoped_release release;
  ThreadPool pool(n_threads);
  made->f = std::make_unique<FacilityLocation>(data, n, q, std::move(w), eta, pool, poll_signals);
  return made;
}

std::unique_lock<std::mutex> hold(Function& function) {
  std::unique_lock<std::mutex> lock(function.in_use, std::try_to_lock);
  if (!lock) throw std::runtime_error("this function is in use by another thread (or by its own callback)");
  return lock;
}

Index member(const Function& function, Index i) {
  if (i < 0 || i >= function.f->size())
    throw InputError("i", "an index in 0.." + std::to_string(function.f->size() - 1), std::to_string(i));
  return i;
}

py::tuple maximize_function(Function& function, Index budget, const std::string& optimizer,
                            const py::array_t<Index, py::array::c_style>& candidates,
                            const py::object& callback, int n_threads) {
  const auto lock = hold(function);
  GreedyOptions options;
  options.budget = budget;
  if (optimizer == "naive") {
    options.optimizer = Optimizer::naive;
  } else if (optimizer != "lazy") {
    throw InputError("optimizer", "'lazy' or 'naive'", "'" + optimizer + "'");
  }
  options.candidates.assign(candidates.data(), candidates.data() + candidates.size());
  for (const Index i : options.candidates) member(function, i);
  if (budget < 1 || budget > static_cast<Index>(options.candidates.size()))
    throw InputError("budget", "1.." + std::to_string(options.candidates.size()), std::to_string(budget));
  options.poll = poll_signals;
  if (!callback.is_none())
    options.progress = [&callback](Index chosen, Index index, double gain) {
      const py::gil_scoped_acquire gil;
      return !callback(chosen, index, gain).is(py::bool_(false));
    };
  Selection selection;
  double value = 0.0;
  {
    const py::gil_scoped_release release;
    ThreadPool pool(n_threads);
    selection = maximize(*function.f, options, pool);
    value = function.f->evaluate(selection.indices.data(), static_cast<Index>(selection.indices.size()));
  }
  return py::make_tuple(to_array(selection.indices), to_array(selection.gains), value);
}

}  // namespace

void register_functions(py::module_& m) {
  m.def("similarity", similarity_of, py::arg("X"), py::arg("Q"), py::arg("metric"), py::arg("scale"),
        py::arg("n_threads"));
  m.def("isa", [] { return kernels().name; });
  py::class_<Function>(m, "Function")
      .def_property_readonly("size", [](const Function& self) { return self.f->size(); })
      .def("gain",
           [](Function& self, Index i) {
             const auto lock = hold(self);
             member(self, i);
             ThreadPool pool(1);
             double gain = 0.0;
             self.f->gains(&i, 1, &gain, pool, Poll());
             return gain;
           })
      .def("commit",
           [](Function& self, Index i) {
             const auto lock = hold(self);
             ThreadPool pool(1);
             self.f->commit(member(self, i), pool);
           })
      .def("reset",
           [](Function& self, int n_threads) {
             const auto lock = hold(self);
             const py::gil_scoped_release release;
             ThreadPool pool(n_threads);
             self.f->reset(pool, poll_signals);
           })
      .def("evaluate", [](Function& self, const py::array_t<Index, py::array::c_style>& rows) {
        const auto lock = hold(self);
        for (Index j = 0; j < rows.size(); ++j) member(self, rows.data()[j]);
        return self.f->evaluate(rows.data(), rows.size());
      });
  m.def("facility_location", facility_location, py::arg("S"), py::arg("weights"), py::arg("eta"),
        py::arg("n_threads"));
  m.def("maximize", maximize_function, py::arg("f"), py::arg("budget"), py::arg("optimizer"),
        py::arg("candidates"), py::arg("callback"), py::arg("n_threads"));
}

}  // namespace albench::bindings
