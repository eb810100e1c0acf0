// A set function as Python holds it.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "albench/set_function.hpp"
#include "convert.hpp"

namespace albench::bindings {

// With what it has borrowed, what has been committed, and a lock: two Python threads must not drive one memo.
struct Function {
  std::unique_ptr<SetFunction> f;
  std::vector<Lent> lent;
  std::vector<std::uint8_t> members;
  std::mutex in_use;

  std::unique_lock<std::mutex> hold() {
    std::unique_lock<std::mutex> lock(in_use, std::try_to_lock);
    if (!lock) throw std::runtime_error("this function is in use by another thread, or by its own callback");
    for (const Lent& each : lent) each.require_in_place();
    return lock;
  }

  std::size_t place(Index i) const {
    if (i < 0 || i >= f->size())
      throw InputError("i", "an index in 0.." + std::to_string(f->size() - 1), std::to_string(i));
    return static_cast<std::size_t>(i);
  }
};

inline double finite(const char* name, double value) {
  if (!std::isfinite(value))
    throw InputError(name, "similarities that stay finite and whose sums fit double precision",
                     "a value of " + text(value));
  return value;
}

}  // namespace albench::bindings
