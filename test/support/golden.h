// Golden files: bytes that a format must go on producing. They are rewritten only on purpose, with
// NUDGE_UPDATE_GOLDEN set in the environment, and the change is looked at before it is committed.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace nudge::test {

inline std::string golden(const std::string& name, const std::string& now) {
  const std::string path = std::string(NUDGE_TEST_DATA) + "/" + name;
  if (std::getenv("NUDGE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << now;
  }
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace nudge::test
