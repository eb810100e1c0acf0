// The few lines of a test harness that these tests need: named tests, checks that say where they failed.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace albench::tests {

struct Test {
  std::string name;
  std::function<void()> body;
};

inline std::vector<Test>& registry() {
  static std::vector<Test> tests;
  return tests;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, std::function<void()> body) { registry().push_back({name, std::move(body)}); }
};

inline void fail(const char* file, int line, const std::string& what) {
  std::printf("%s:%d: %s\n", file, line, what.c_str());
  ++failures();
}

}  // namespace albench::tests

#define ALBENCH_TEST(name)                                            \
  static void name();                                                 \
  static const albench::tests::Register register_##name(#name, name); \
  static void name()
#define CHECK(condition)                                                                 \
  do {                                                                                   \
    if (!(condition)) albench::tests::fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (false)
#define CHECK_THROWS(statement, type)                                                              \
  do {                                                                                             \
    bool thrown = false;                                                                           \
    try {                                                                                          \
      statement;                                                                                   \
    } catch (const type&) {                                                                        \
      thrown = true;                                                                               \
    }                                                                                              \
    if (!thrown) albench::tests::fail(__FILE__, __LINE__, "did not throw " #type ": " #statement); \
  } while (false)
