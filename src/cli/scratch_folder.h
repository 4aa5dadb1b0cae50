// A private folder of the system's for temporary files; gone with its contents.
#pragma once

#include <string>
#include <string_view>

namespace nudge {

// Not thread-safe. Blocks on the disk.
class ScratchFolder {
 public:
  // `use` is a word of its name, for whoever finds one that a crash left: "nudge-plot-Ab12Cd".
  explicit ScratchFolder(std::string_view use);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }  // empty: it could not be made

 private:
  std::string path_;
};

}  // namespace nudge
