// Any bytes as a file of settings. What is taken prints itself so that it reads the same.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "src/config/config.h"

namespace {

// A file of these bytes that has a path and no disk.
class FileOf {
 public:
  FileOf(const void* data, std::size_t size) : descriptor_(::memfd_create("settings", 0)) {
    if (descriptor_ < 0 || ::write(descriptor_, data, size) != static_cast<ssize_t>(size)) {
      std::abort();
    }
  }
  ~FileOf() { ::close(descriptor_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nudge;
  const FileOf file(data, size);
  const Result<LoadedConfig> loaded = load_config({.file = file.path()});
  if (!loaded.ok()) return 0;
  const std::string printed = print_config(*loaded);
  const FileOf again(printed.data(), printed.size());
  const Result<LoadedConfig> back = load_config({.file = again.path()});
  if (!back.ok()) std::abort();
  for (const ConfigKey& key : config_keys()) {
    if (*config_value(loaded->config, key.name) != *config_value(back->config, key.name)) {
      std::abort();
    }
  }
  if (training_text(loaded->config) != training_text(back->config)) std::abort();
  return 0;
}
