#include "albench/similarity.hpp"

#include "convert.hpp"
#include "register.hpp"

namespace albench::bindings {

Metric metric_from(const std::string& name) {
  if (name == "cosine") return Metric::cosine;
  if (name == "dot") return Metric::dot;
  if (name == "euclidean") return Metric::euclidean;
  if (name == "rbf") return Metric::rbf;
  throw InputError("metric", "'cosine', 'dot', 'euclidean' or 'rbf'", "'" + name + "'");
}

namespace {

py::array_t<float> similarity_of(const py::array& x, const py::array& q, const std::string& metric,
                                 const py::object& scale, int n_threads) {
  const Features rows = features("X", x);
  const Features queries = features("Q", q, rows.cols);
  const std::vector<double> factors = doubles("scale", scale, rows.cols);
  const Metric chosen = metric_from(metric);
  require_countable(rows.rows, queries.rows);
  const Lent lent[] = {Lent("X", x), Lent("Q", q)};
  py::array_t<float> out({rows.rows, queries.rows});
  float* to = out.mutable_data();
  {
    const WithoutGil without;
    ThreadPool pool(threads(n_threads));
    const QueryPanels panels(queries, chosen, factors.empty() ? nullptr : factors.data(), pool);
    similarity(rows, panels, to, pool, poll_signals);
  }
  return out;
}

}  // namespace

void register_similarity(py::module_& m) {
  m.def("similarity", similarity_of, py::arg("X"), py::arg("Q"), py::arg("metric"), py::arg("scale"),
        py::arg("n_threads"));
  m.def("isa", [] { return kernels().name; });
}

}  // namespace albench::bindings
