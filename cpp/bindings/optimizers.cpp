#include "albench/optimizers.hpp"

#include <algorithm>

#include "albench/buffer.hpp"
#include "albench/rivals.hpp"
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

py::array_t<Index> rivals_of_run(Function& function, const FloatMatrix& rows, const Doubles& gains,
                                 const Indices& ties_below, const Indices& members, double margin,
                                 Index most_close, int n_threads) {
  const auto lock = function.hold();
  auto* const f = dynamic_cast<FacilityLocation*>(function.f.get());
  if (f == nullptr) throw InputError("f", "a facility location", "another function");
  const float* s = matrix("rows", rows, -1, f->columns());
  const Index steps = rows.shape(0);
  if (!all_finite(s, steps * f->columns())) throw InputError("rows", "finite values", "NaN or infinity");
  if (gains.ndim() != 1 || gains.shape(0) != steps)
    throw InputError("gains", "shape (" + std::to_string(steps) + ",)", shape_of(gains));
  if (ties_below.ndim() != 1 || ties_below.shape(0) != steps)
    throw InputError("ties_below", "shape (" + std::to_string(steps) + ",)", shape_of(ties_below));
  const Lent while_read("rows", rows);
  GreedyRun run{s, copied(gains), copied(ties_below), indices("members", members, f->size())};
  for (const double gain : run.gains) finite("gains", gain);
  std::fill(function.members.begin(), function.members.end(), std::uint8_t{0});
  if (!(margin >= 0.0 && margin < 1.0)) throw InputError("margin", "a number in [0, 1)", text(margin));
  std::vector<Index> found;
  try {
    const WithoutGil without;
    ThreadPool pool(threads(n_threads));
    found = rivals(*f, run, margin, most_close, pool, poll_signals);
  } catch (...) {
    ThreadPool alone(1);
    f->reset(alone, Poll());
    throw;
  }
  return to_array(found);
}

}  // namespace

void register_optimizers(py::module_& m) {
  py::class_<KeptBlocks>(m, "KeptBlocks").def(py::init<>());
  m.def("maximize", maximize_function, py::arg("f"), py::arg("budget"), py::arg("optimizer"),
        py::arg("epsilon"), py::arg("seed"), py::arg("candidates"), py::arg("callback"),
        py::arg("n_threads"));
  m.def("rivals", rivals_of_run, py::arg("f"), py::arg("rows"), py::arg("gains"), py::arg("ties_below"),
        py::arg("members"), py::arg("margin"), py::arg("most_close"), py::arg("n_threads"));
}

}  // namespace albench::bindings
