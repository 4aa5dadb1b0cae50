#include "src/cli/scratch_folder.h"

#include <stdlib.h>

#include <filesystem>
#include <system_error>

namespace nudge {

ScratchFolder::ScratchFolder(std::string_view use) {
  std::error_code error;
  const auto base = std::filesystem::temp_directory_path(error);
  std::string name = (error ? std::filesystem::path("/var/tmp") : base) /
                     ("nudge-" + std::string(use) + "-XXXXXX");
  if (::mkdtemp(name.data()) != nullptr) path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code error;
  if (!path_.empty()) std::filesystem::remove_all(path_, error);
}

}  // namespace nudge
