// Types shared by the whole core: indices, errors, and the hook through which a long loop can be interrupted.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>

namespace albench {

using Index = std::int64_t;

// Wrong argument of a caller: the message names the argument, what was expected and what was found.
// The bindings turn it into Python's ValueError.
class InputError : public std::invalid_argument {
 public:
  InputError(const std::string& argument, const std::string& expected, const std::string& found)
      : std::invalid_argument("`" + argument + "`: expected " + expected + ", got " + found) {}
};

// A number in few digits, whatever its size.
inline std::string text(double value) {
  char digits[32];
  (void)std::snprintf(digits, sizeof digits, "%g", value);
  return digits;
}

// Called now and then from the calling thread while it works; may throw to interrupt (Ctrl-C in Python).
using Poll = std::function<void()>;

}  // namespace albench
