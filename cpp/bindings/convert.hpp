// Between NumPy and the core: views without copies, checks, and the bridge for Ctrl-C.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "albench/similarity.hpp"
#include "albench/types.hpp"

namespace albench::bindings {

namespace py = pybind11;

using FloatMatrix = py::array_t<float, py::array::c_style>;
using Indices = py::array_t<Index, py::array::c_style>;

Metric metric_from(const std::string& name);

inline std::string shape_of(const py::array& a) {
  std::string text = "(";
  for (py::ssize_t axis = 0; axis < a.ndim(); ++axis)
    text += (axis > 0 ? ", " : "") + std::to_string(a.shape(axis));
  return text + ")";
}

inline int threads(int n_threads) {
  if (n_threads < 1 || n_threads > 1024) throw InputError("n_threads", "1..1024", std::to_string(n_threads));
  return n_threads;
}

// A borrowed view of a matrix of a floating type; bfloat16 comes as uint16. cols < 0: any number.
inline Features features(const char* name, const py::array& a, Index cols = -1) {
  if (a.ndim() != 2 || a.size() == 0 || (cols >= 0 && a.shape(1) != cols))
    throw InputError(name,
                     "shape (rows, " + (cols < 0 ? std::string("features") : std::to_string(cols)) + ")",
                     shape_of(a));
  Features view;
  const py::dtype type = a.dtype();
  if (type.byteorder() != '=' && type.byteorder() != '|')
    throw InputError(name, "native byte order", std::string(py::str(type)));
  const bool floating = type.kind() == 'f';
  if (floating && type.itemsize() == 4) {
    view.number = Number::float32;
  } else if (floating && type.itemsize() == 8) {
    view.number = Number::float64;
  } else if (floating && type.itemsize() == 2) {
    view.number = Number::float16;
  } else if (type.kind() == 'u' && type.itemsize() == 2) {
    view.number = Number::bfloat16;
  } else {
    throw InputError(name, "dtype float16, bfloat16, float32 or float64", std::string(py::str(type)));
  }
  view.data = static_cast<const std::byte*>(a.data());
  view.rows = a.shape(0);
  view.cols = a.shape(1);
  view.row_stride = a.strides(0);
  view.col_stride = a.strides(1);
  return view;
}

// A contiguous float32 matrix; negative sizes: any.
inline const float* matrix(const char* name, const FloatMatrix& a, Index rows, Index cols) {
  if (a.ndim() != 2 || a.size() == 0 || (rows >= 0 && a.shape(0) != rows) ||
      (cols >= 0 && a.shape(1) != cols))
    throw InputError(name,
                     "shape (" + (rows < 0 ? std::string("n") : std::to_string(rows)) + ", " +
                         (cols < 0 ? std::string("q") : std::to_string(cols)) + ")",
                     shape_of(a));
  return a.data();
}

// Finite non-negative numbers, or none at all.
inline std::vector<double> doubles(const char* name, const py::object& values, Index expected) {
  if (values.is_none()) return {};
  const auto a = py::cast<py::array_t<double, py::array::c_style>>(values);
  if (a.ndim() != 1 || a.shape(0) != expected)
    throw InputError(name, "shape (" + std::to_string(expected) + ",)", shape_of(a));
  std::vector<double> out(a.data(), a.data() + expected);
  for (const double value : out)
    if (!(std::isfinite(value) && value >= 0.0))
      throw InputError(name, "finite numbers >= 0", std::to_string(value));
  return out;
}

inline double number(const char* name, double value, double high = 1e300) {
  if (!(value >= 0.0 && value <= high)) throw InputError(name, "a finite number >= 0", std::to_string(value));
  return value;
}

inline std::vector<Index> indices(const char* name, const Indices& a, Index size) {
  std::vector<Index> out(a.data(), a.data() + a.size());
  for (const Index i : out)
    if (i < 0 || i >= size)
      throw InputError(name, "indices in 0.." + std::to_string(size - 1), std::to_string(i));
  return out;
}

// Lets Python handle a pending signal; throws if the handler raised (KeyboardInterrupt). Call without the
// GIL. Taking the GIL may cost milliseconds where another thread holds it, so it is asked for at most 20
// times a second.
inline void poll_signals() {
  using Clock = std::chrono::steady_clock;
  thread_local Clock::time_point last = Clock::now();
  const Clock::time_point now = Clock::now();
  if (now - last < std::chrono::milliseconds(50)) return;
  last = now;
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

template <class T>
py::array_t<T> to_array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace albench::bindings
