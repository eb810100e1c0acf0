// The interpreter's lock, for threads that may outlive the interpreter.
//
// A daemon thread that asks for the lock while the interpreter ends never gets it: Python up to 3.13 ends the
// thread on the spot, by unwinding frames whose destructors and handlers are not made for that, which aborts
// the process. Here such a thread sleeps until the process has ended, as Python 3.14 has it.
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace albench::bindings {

[[noreturn]] inline void sleep_for_ever() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

// Calls what takes the lock, or may lose it and take it again. An unwinding thread throws no object: what the
// handler is handed is a reference to nothing, which nobody looks at and a sanitizer would report.
template <class Use>
[[gnu::no_sanitize("null")]] auto or_sleep(const Use& use) {
#if defined(__GLIBCXX__)
  try {
    return use();
  } catch (abi::__forced_unwind&) {
    sleep_for_ever();
  }
#else
  return use();
#endif
}

// Without the lock until the end of the scope.
class WithoutGil {
 public:
  WithoutGil() { release(); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() { acquire(); }

  static void release() { state() = PyEval_SaveThread(); }
  static void acquire() {
    if (Py_IsInitialized() == 0) sleep_for_ever();
    or_sleep([] { PyEval_RestoreThread(state()); });
  }

 private:
  static PyThreadState*& state() {
    thread_local PyThreadState* saved = nullptr;
    return saved;
  }
};

// Calls `use` with the lock, in the scope of a `WithoutGil` of the same thread.
template <class Use>
auto with_gil(const Use& use) {
  struct Held {
    Held() { WithoutGil::acquire(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { WithoutGil::release(); }
  };
  const Held held;
  return or_sleep(use);
}

}  // namespace albench::bindings
