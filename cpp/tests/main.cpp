#include <exception>

#include "albench/kernels.hpp"
#include "check.hpp"

int main() {
  using albench::tests::failures;
  std::printf("kernels: %s\n", albench::kernels().name);
  for (const auto& test : albench::tests::registry()) {
    const int before = failures();
    try {
      test.body();
    } catch (const std::exception& error) {
      albench::tests::fail("exception", 0, error.what());
    }
    std::printf("%s %s\n", failures() == before ? "ok    " : "FAILED", test.name.c_str());
  }
  std::printf("%zu tests, %d failed checks\n", albench::tests::registry().size(), failures());
  return failures() == 0 ? 0 : 1;
}
