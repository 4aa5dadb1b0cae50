// Whether the long form of a test is asked for: NUDGE_LONG=1, as in test/e2e.
#pragma once

#include <cstdlib>
#include <string_view>

namespace nudge::test {

inline bool long_form() {
  const char* value = std::getenv("NUDGE_LONG");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value != nullptr && std::string_view(value) != "" && std::string_view(value) != "0";
}

}  // namespace nudge::test
