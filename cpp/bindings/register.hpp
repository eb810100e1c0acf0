// One registration function per topic.
#pragma once

#include <pybind11/pybind11.h>

namespace albench::bindings {

void register_similarity(pybind11::module_& m);
void register_functions(pybind11::module_& m);
void register_optimizers(pybind11::module_& m);
void register_distances(pybind11::module_& m);

}  // namespace albench::bindings
