// A folder that is empty at the start of a test and gone at its end.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace nudge::test {

class TempFolder {
 public:
  // kMemory: where calls to sync cost nothing, for tests that make very many of them.
  enum class Where { kDisk, kMemory };
  explicit TempFolder(Where where = Where::kDisk) {
    std::filesystem::path base = std::filesystem::temp_directory_path();
    std::error_code ignored;
    if (where == Where::kMemory && std::filesystem::is_directory("/dev/shm", ignored)) {
      base = "/dev/shm";
    }
    std::string name = (base / "nudge-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace nudge::test
