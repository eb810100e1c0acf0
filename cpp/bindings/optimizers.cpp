#include "albench/optimizers.hpp"

#include <algorithm>

#include "function.hpp"
#include "register.hpp"

namespace albench::bindings {
namespace {

Optimizer optimizer_from(const std::string& name) {
  if (name == "naive") return Optimizer::naive;
  if (name == "lazy") return Optimizer::lazy;
  if (name == "stochastic") return Optimizer::stochastic;
  if (name == "lazier") return Optimizer::lazier;
  throw InputError("optimizer", "'lazy', 'naive', 'stochastic' or 'lazier'", "'" + name + "'");
}

py::tuple maximize_function(Function& function, Index budget, const std::string& optimizer, double epsilon,
                            std::uint64_t seed, const Indices& candidates, const py::object& callback,
                            int n_threads) {
  const auto lock = function.hold();
  GreedyOptions options;
  options.optimizer = optimizer_from(optimizer);
  options.budget = budget;
  if (!(epsilon > 0.0 && epsilon < 1.0)) throw InputError("epsilon", "a number in (0, 1)", text(epsilon));
  options.epsilon = epsilon;
  options.seed = seed;
  options.candidates = indices("candidates", candidates, function.f->size());
  std::sort(options.candidates.begin(), options.candidates.end());
  options.candidates.erase(std::unique(options.candidates.begin(), options.candidates.end()),
                           options.candidates.end());
  const auto available = static_cast<Index>(options.candidates.size());
  if (budget < 1 || budget > available)
    throw InputError("budget", "1.." + std::to_string(available), std::to_string(budget));
  options.poll = poll_signals;
  if (!callback.is_none())
    options.progress = [&callback](Index chosen, Index index, double gain) {
      return with_gil([&] { return !callback(chosen, index, gain).is(py::bool_(false)); });
    };
  std::fill(function.members.begin(), function.members.end(), std::uint8_t{0});
  Selection selection;
  double value = 0.0;
  try {
    const WithoutGil without;
    ThreadPool pool(threads(n_threads));
    selection = maximize(*function.f, options, pool);
    value = finite(
        "f", function.f->evaluate(selection.indices.data(), static_cast<Index>(selection.indices.size())));
  } catch (...) {
    // Interrupted: leave the function as good as new.
    ThreadPool alone(1);
    function.f->reset(alone, Poll());
    throw;
  }
  for (const Index i : selection.indices) function.members[static_cast<std::size_t>(i)] = 1;
  return py::make_tuple(to_array(selection.indices), to_array(selection.gains), value);
}

}  // namespace

void register_optimizers(py::module_& m) {
  m.def("maximize", maximize_function, py::arg("f"), py::arg("budget"), py::arg("optimizer"),
        py::arg("epsilon"), py::arg("seed"), py::arg("candidates"), py::arg("callback"),
        py::arg("n_threads"));
}

}  // namespace albench::bindings
