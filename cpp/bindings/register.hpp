// One registration function per topic.
#pragma once

#include <pybind11/pybind11.h>

namespace albench::bindings {

void register_functions(pybind11::module_& m);

}  // namespace albench::bindings
