#include "albench/distances.hpp"

#include <optional>

#include "convert.hpp"
#include "register.hpp"

namespace albench::bindings {
namespace {

Index checked_budget(Index budget, Index available) {
  if (budget < 1 || budget > available)
    throw InputError("budget", "1.." + std::to_string(available), std::to_string(budget));
  return budget;
}

Indices kcenter(const py::array& x, Index budget, const py::object& centres, const Indices& taken,
                int n_threads) {
  const Features rows = features("X", x);
  const Lent lent("X", x);
  const std::vector<Index> already = indices("labelled", taken, rows.rows);
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(rows.rows), 0);
  for (const Index i : already)
    if (seen[static_cast<std::size_t>(i)]++ != 0)
      throw InputError("labelled", "distinct indices", std::to_string(i));
  checked_budget(budget, rows.rows - static_cast<Index>(already.size()));
  Features given;
  std::optional<Lent> lent_centres;
  if (!centres.is_none()) {
    const auto array = py::cast<py::array>(centres);
    given = features("labelled", array, rows.cols);
    lent_centres.emplace("labelled", array);
  }
  std::vector<Index> chosen;
  {
    const WithoutGil without;
    ThreadPool pool(threads(n_threads));
    chosen =
        kcenter_greedy(rows, budget, given.data != nullptr ? &given : nullptr, already, pool, poll_signals);
  }
  return to_array(chosen);
}

Indices kmeans(const py::array& x, Index budget, std::uint64_t seed, int n_threads) {
  const Features rows = features("X", x);
  const Lent lent("X", x);
  checked_budget(budget, rows.rows);
  std::vector<Index> chosen;
  {
    const WithoutGil without;
    ThreadPool pool(threads(n_threads));
    chosen = kmeans_plusplus(rows, budget, seed, pool, poll_signals);
  }
  return to_array(chosen);
}

}  // namespace

void register_distances(py::module_& m) {
  m.def("kcenter_greedy", kcenter, py::arg("X"), py::arg("budget"), py::arg("centres"), py::arg("taken"),
        py::arg("n_threads"));
  m.def("kmeans_plusplus", kmeans, py::arg("X"), py::arg("budget"), py::arg("seed"), py::arg("n_threads"));
}

}  // namespace albench::bindings
