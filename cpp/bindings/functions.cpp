#include <algorithm>
#include <limits>
#include <utility>

#include "albench/facility_location.hpp"
#include "albench/log_determinant.hpp"
#include "albench/row_sums.hpp"
#include "function.hpp"
#include "register.hpp"

namespace albench::bindings {
namespace {

// Where similarities come from, together with what keeps the memory alive.
struct Input {
  std::shared_ptr<Source> source;
  std::vector<Lent> lent;
};

Input from_matrix(const FloatMatrix& s) {
  Input input;
  const float* data = matrix("S", s, -1, -1);
  input.source = std::make_shared<Source>(data, s.shape(0), s.shape(1));
  input.lent.emplace_back("S", s);
  return input;
}

Input from_features(const py::array& x, const py::array& q, const std::string& metric,
                    const py::object& scale, int n_threads) {
  Input input;
  const Features rows = features("X", x);
  const Features queries = features("Q", q, rows.cols);
  const std::vector<double> factors = doubles("scale", scale, rows.cols);
  const Metric chosen = metric_from(metric);
  require_countable(rows.rows, queries.rows);
  input.lent.emplace_back("X", x);
  const Lent while_packed("Q", q);
  const WithoutGil without;
  ThreadPool pool(threads(n_threads));
  QueryPanels panels(queries, chosen, factors.empty() ? nullptr : factors.data(), pool);
  input.source = std::make_shared<Source>(rows, std::move(panels));
  return input;
}

// A source serves once, whether a function comes of it or not.
Input used(Input& input) {
  if (input.source == nullptr) throw InputError("source", "one that has not been used", "a used one");
  for (const Lent& each : input.lent) each.require_in_place();
  return std::exchange(input, Input());
}

// Builds a function with the GIL released; `make` gets the source, a pool, and nothing of Python.
template <class Make>
std::unique_ptr<Function> build(Input& input, int n_threads, const Make& make) {
  auto made = std::make_unique<Function>();
  made->lent = std::move(input.lent);
  const WithoutGil without;
  ThreadPool pool(threads(n_threads));
  made->f = make(std::move(*input.source), pool);
  made->members.assign(static_cast<std::size_t>(made->f->size()), 0);
  return made;
}

// Rounded to float32; what exceeds it is its largest number.
std::vector<float> singles(const std::vector<double>& values) {
  std::vector<float> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [](double value) {
    return static_cast<float>(std::min(value, static_cast<double>(std::numeric_limits<float>::max())));
  });
  return out;
}

std::unique_ptr<Function> facility_location(Input& given, const py::object& weights, double eta,
                                            const py::object& caps, const py::object& covered,
                                            Index held_bytes, Index bound_bytes, int n_threads) {
  Input input = used(given);
  std::vector<double> w = doubles("weights", weights, input.source->cols());
  std::vector<float> cut = singles(doubles("caps", caps, input.source->cols()));
  std::vector<float> start = singles(doubles("covered", covered, input.source->cols()));
  number("eta", eta);
  return build(input, n_threads, [&](Source&& source, ThreadPool& pool) {
    const Index whole = source.rows() * source.cols() * static_cast<Index>(sizeof(float));
    if (source.dense() == nullptr && held_bytes >= whole) {
      source.hold(pool, poll_signals);
      bound_bytes = std::min(bound_bytes, held_bytes - whole);
    }
    source.prepare(pool, poll_signals);
    if (!cut.empty()) source.cap(std::move(cut), pool);
    return std::make_unique<FacilityLocation>(std::move(source), std::move(w), eta, std::move(start),
                                              bound_bytes, pool, poll_signals);
  });
}

std::unique_ptr<Function> graph_cut(Input& given, const py::object& weights, double lambda, bool clip,
                                    int n_threads) {
  Input input = used(given);
  std::vector<double> w = doubles("weights", weights, input.source->cols());
  number("lam", lambda);
  return build(input, n_threads, [&](Source&& source, ThreadPool& pool) {
    source.prepare(pool, poll_signals);
    return std::make_unique<GraphCut>(std::move(source), std::move(w), lambda,
                                      clip ? Negative::clip : Negative::keep, pool, poll_signals);
  });
}

std::unique_ptr<Function> concave(Input& given, const py::object& weights, double eta, const std::string& psi,
                                  int n_threads) {
  Input input = used(given);
  std::vector<double> w = doubles("weights", weights, input.source->cols());
  number("eta", eta);
  if (psi != "sqrt" && psi != "log" && psi != "inverse")
    throw InputError("concave", "'sqrt', 'log' or 'inverse'", "'" + psi + "'");
  const Concave chosen = psi == "sqrt" ? Concave::sqrt : psi == "log" ? Concave::log : Concave::inverse;
  return build(input, n_threads, [&](Source&& source, ThreadPool& pool) {
    source.prepare(pool, poll_signals);
    return std::make_unique<ConcaveOverModular>(std::move(source), std::move(w), eta, chosen, pool,
                                                poll_signals);
  });
}

std::unique_ptr<Function> log_determinant(Input& given, const py::array& ground, const FloatMatrix& queries,
                                          const std::string& metric, const py::object& scale, double eta,
                                          double regularization, int n_threads) {
  Input input = used(given);
  const Index n = input.source->rows();
  const Index q = input.source->cols();
  number("eta", eta, 1.0);
  if (!(regularization > 0.0 && regularization < 1e300))
    throw InputError("regularization", "a finite number > 0", text(regularization));
  const float* among_queries = matrix("queries", queries, q, q);
  const Lent while_factorised("queries", queries);
  // From features where the source is made of features, else from an (n, n) matrix.
  GroundKernel kernel(nullptr, n);
  if (input.source->dense() == nullptr) {
    const Features x = features("X", ground);
    if (x.rows != n) throw InputError("X", std::to_string(n) + " rows", std::to_string(x.rows));
    kernel = GroundKernel(x, metric_from(metric), doubles("scale", scale, x.cols));
    input.lent.emplace_back("X", ground);
  } else {
    const auto among = py::cast<FloatMatrix>(ground);
    kernel = GroundKernel(matrix("ground", among, n, n), n);
    input.lent.emplace_back("ground", among);
  }
  return build(input, n_threads, [&](Source&& source, ThreadPool& pool) {
    source.prepare(pool, poll_signals);
    return std::make_unique<LogDeterminant>(std::move(kernel), source, among_queries, eta, regularization,
                                            pool, poll_signals);
  });
}

double gain(Function& self, Index i) {
  const auto lock = self.hold();
  if (self.members[self.place(i)] != 0) return 0.0;
  ThreadPool alone(1);
  double value = 0.0;
  self.f->gains(&i, 1, &value, alone, Poll());
  return finite("gain", value);
}

py::array_t<double> gains(Function& self, const Indices& rows, int n_threads) {
  const auto lock = self.hold();
  const std::vector<Index> asked = indices("indices", rows, self.f->size());
  std::vector<double> values(asked.size());
  if (!asked.empty()) {
    const WithoutGil without;
    ThreadPool pool(threads(n_threads));
    self.f->gains(asked.data(), static_cast<Index>(asked.size()), values.data(), pool, poll_signals);
  }
  for (std::size_t j = 0; j < asked.size(); ++j)
    values[j] = self.members[static_cast<std::size_t>(asked[j])] != 0 ? 0.0 : finite("gains", values[j]);
  return to_array(values);
}

void commit(Function& self, Index i) {
  const auto lock = self.hold();
  if (self.members[self.place(i)] != 0) return;
  ThreadPool alone(1);
  self.f->commit(i, alone);
  self.members[static_cast<std::size_t>(i)] = 1;
}

void reset(Function& self) {
  const auto lock = self.hold();
  ThreadPool alone(1);
  self.f->reset(alone, Poll());
  std::fill(self.members.begin(), self.members.end(), std::uint8_t{0});
}

double evaluate(Function& self, const Indices& rows) {
  const auto lock = self.hold();
  const std::vector<Index> set = indices("indices", rows, self.f->size());
  const WithoutGil without;
  return finite("evaluate", self.f->evaluate(set.data(), static_cast<Index>(set.size())));
}

// The functions below make objects; `__new__` alone would make one without anything in it.
void never_made_empty(PyHeapTypeObject* type) {
  type->ht_type.tp_new = [](PyTypeObject* self, PyObject*, PyObject*) -> PyObject* {
    PyErr_Format(PyExc_TypeError, "%s is made by functions of albench_core alone", self->tp_name);
    return nullptr;
  };
}

}  // namespace

void register_functions(py::module_& m) {
  const py::class_<Input> source(m, "Source", py::is_final(), py::custom_type_setup(never_made_empty));
  m.def("matrix_source", from_matrix, py::arg("S"));
  m.def("feature_source", from_features, py::arg("X"), py::arg("Q"), py::arg("metric"), py::arg("scale"),
        py::arg("n_threads"));
  py::class_<Function>(m, "Function", py::is_final(), py::custom_type_setup(never_made_empty))
      .def_property_readonly("size", [](const Function& self) { return self.f->size(); })
      .def_property_readonly("diminishing", [](const Function& self) { return self.f->diminishing(); })
      .def("gain", gain, py::arg("i"))
      .def("gains", gains, py::arg("indices"), py::arg("n_threads"))
      .def("commit", commit, py::arg("i"))
      .def("reset", reset)
      .def("evaluate", evaluate, py::arg("indices"));
  m.def("facility_location", facility_location, py::arg("source"), py::arg("weights"), py::arg("eta"),
        py::arg("caps"), py::arg("covered"), py::arg("held_bytes"), py::arg("bound_bytes"),
        py::arg("n_threads"));
  m.def("graph_cut", graph_cut, py::arg("source"), py::arg("weights"), py::arg("lam"), py::arg("clip"),
        py::arg("n_threads"));
  m.def("concave_over_modular", concave, py::arg("source"), py::arg("weights"), py::arg("eta"),
        py::arg("concave"), py::arg("n_threads"));
  m.def("log_determinant", log_determinant, py::arg("source"), py::arg("ground"), py::arg("queries"),
        py::arg("metric"), py::arg("scale"), py::arg("eta"), py::arg("regularization"), py::arg("n_threads"));
}

}  // namespace albench::bindings
