// Between NumPy and the core: views without copies, checks, and the bridge for Ctrl-C.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "albench/similarity.hpp"
#include "albench/types.hpp"
#include "gil.hpp"

namespace albench::bindings {

namespace py = pybind11;

using FloatMatrix = py::array_t<float, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;
using Indices = py::array_t<Index, py::array::c_style>;

Metric metric_from(const std::string& name);

inline std::string shape_of(const py::array& a) {
  std::string text = "(";
  for (py::ssize_t axis = 0; axis < a.ndim(); ++axis)
    text += (axis > 0 ? ", " : "") + std::to_string(a.shape(axis));
  return text + ")";
}

// An array whose memory the core reads. NumPy refuses to resize an array, with or without its `refcheck`,
// while there is a weak reference to it: there is one to this array and to all that it is a view of. What
// else may give an array other memory, `__setstate__`, is noticed the next time that the memory is to be
// read.
class Lent {
 public:
  Lent(const char* name, const py::array& a) : name_(name) {
    for (py::object owner = a; py::isinstance<py::array>(owner); owner = owner.attr("base"))
      owners_.emplace_back(py::reinterpret_borrow<py::array>(owner));
  }

  void require_in_place() const {
    for (const Owner& owner : owners_)
      if (owner.array.data() != owner.data || owner.array.nbytes() != owner.bytes)
        throw InputError(name_, "memory that stays where it is while it is borrowed",
                         "an array with another");
  }

 private:
  struct Owner {
    explicit Owner(const py::array& a) : array(a), weak(py::handle(a)), data(a.data()), bytes(a.nbytes()) {}
    py::array array;
    py::weakref weak;
    const void* data;
    py::ssize_t bytes;
  };

  const char* name_;
  std::vector<Owner> owners_;
};

// Sizes of similarities have to fit an index.
inline void require_countable(Index rows, Index queries) {
  constexpr Index kMost = Index{1} << 60U;
  if (rows > kMost / queries)
    throw InputError("X", "at most " + std::to_string(kMost / queries) + " rows for these queries",
                     std::to_string(rows));
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
  if (reinterpret_cast<std::uintptr_t>(a.data()) % alignof(float) != 0)
    throw InputError(name, "aligned memory", "an address between two numbers");
  return a.data();
}

// The numbers of an array that may lie at any address: byte by byte, as `at` would not read them.
template <class T>
std::vector<T> copied(const py::array_t<T, py::array::c_style>& a) {
  std::vector<T> out(static_cast<std::size_t>(a.size()));
  if (!out.empty()) std::memcpy(out.data(), static_cast<const py::array&>(a).data(), out.size() * sizeof(T));
  return out;
}

// Finite non-negative numbers, or none at all.
inline std::vector<double> doubles(const char* name, const py::object& values, Index expected) {
  if (values.is_none()) return {};
  const auto a = py::cast<Doubles>(values);
  if (a.ndim() != 1 || a.shape(0) != expected)
    throw InputError(name, "shape (" + std::to_string(expected) + ",)", shape_of(a));
  const std::vector<double> out = copied(a);
  for (const double value : out)
    if (!(std::isfinite(value) && value >= 0.0)) throw InputError(name, "finite numbers >= 0", text(value));
  return out;
}

inline double number(const char* name, double value, double high = 1e300) {
  if (!(value >= 0.0 && value <= high))
    throw InputError(name, "a finite number in 0.." + text(high), text(value));
  return value;
}

inline std::vector<Index> indices(const char* name, const Indices& a, Index size) {
  std::vector<Index> out = copied(a);
  for (const Index i : out)
    if (i < 0 || i >= size)
      throw InputError(name, "indices in 0.." + std::to_string(size - 1), std::to_string(i));
  return out;
}

// Lets Python handle a pending signal; throws if the handler raised (KeyboardInterrupt). Call without the
// GIL (`WithoutGil`). Taking the GIL may cost milliseconds where another thread holds it, so it is asked for
// at most 20 times a second.
inline void poll_signals() {
  using Clock = std::chrono::steady_clock;
  thread_local Clock::time_point last = Clock::now();
  const Clock::time_point now = Clock::now();
  if (now - last < std::chrono::milliseconds(50)) return;
  last = now;
  with_gil([] {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  });
}

template <class T>
py::array_t<T> to_array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace albench::bindings
