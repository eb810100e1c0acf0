#include "register.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "al-bench selection core (private: use albench.core)";
  albench::bindings::register_similarity(m);
  albench::bindings::register_functions(m);
  albench::bindings::register_optimizers(m);
  albench::bindings::register_distances(m);
}
