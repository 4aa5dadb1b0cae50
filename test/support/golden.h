// Golden files: bytes that a format must go on producing. They are rewritten only on purpose, with
// NUDGE_UPDATE_GOLDEN set in the environment, and the change is looked at before it is committed.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "test/support/test_data.h"

namespace nudge::test {

// Of a format that is read only: what older versions have written, never rewritten.
inline std::string old_golden(const std::string& name) {
  std::ifstream file(test_data() + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string golden(const std::string& name, const std::string& now) {
  if (std::getenv("NUDGE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(test_data() + "/" + name, std::ios::binary) << now;
  }
  return old_golden(name);
}

}  // namespace nudge::test
