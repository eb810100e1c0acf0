// Between NumPy and the core: views without copies, and the bridge for Ctrl-C.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "albench/features.hpp"
#include "albench/types.hpp"

namespace albench::bindings {

namespace py = pybind11;

using FloatMatrix = py::array_t<float, py::array::c_style>;

inline std::string shape_of(const py::array& a) {
  std::string text = "(";
  for (py::ssize_t axis = 0; axis < a.ndim(); ++axis)
    text += (axis > 0 ? ", " : "") + std::to_string(a.shape(axis));
  return text + ")";
}

// A borrowed view of a two-dimensional array of a floating type; bfloat16 comes as uint16.
inline Features features(const char* name, const py::array& a) {
  if (a.ndim() != 2) throw InputError(name, "a matrix", "shape " + shape_of(a));
  Features view;
  const py::dtype type = a.dtype();
  if (type.kind() == 'f' && type.itemsize() == 4) {
    view.number = Number::float32;
  } else if (type.kind() == 'f' && type.itemsize() == 8) {
    view.number = Number::float64;
  } else if (type.kind() == 'f' && type.itemsize() == 2) {
    view.number = Number::float16;
  } else if (type.kind() == 'u' && type.itemsize() == 2) {
    view.number = Number::bfloat16;
  } else {
    throw InputError(name, "float16, bfloat16, float32 or float64", "dtype " + std::string(py::str(type)));
  }
  view.data = static_cast<const std::byte*>(a.data());
  view.rows = a.shape(0);
  view.cols = a.shape(1);
  view.row_stride = a.strides(0);
  view.col_stride = a.strides(1);
  return view;
}

inline std::vector<double> doubles(const char* name, const py::object& values, Index expected) {
  if (values.is_none()) return {};
  const auto a = py::cast<py::array_t<double, py::array::c_style | py::array::forcecast>>(values);
  if (a.ndim() != 1 || a.shape(0) != expected)
    throw InputError(name, "shape (" + std::to_string(expected) + ",)", shape_of(a));
  return {a.data(), a.data() + expected};
}

// Lets Python handle a pending signal; throws if the handler raised (KeyboardInterrupt). Call without the
// GIL.
inline void poll_signals() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

template <class T>
py::array_t<T> to_array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace albench::bindings
