#include "src/ports/private_file.h"

#include <cstddef>
#include <span>

namespace nudge {

Status replace_private(Folder& folder, const std::string& name, std::string_view text) {
  return replace_file(folder, name, std::as_bytes(std::span(text)), Folder::Privacy::kPrivate);
}

Result<std::string> read_private(Folder& folder, const std::string& name, std::size_t max_bytes) {
  auto bytes = folder.read(name, max_bytes, Folder::Privacy::kPrivate);
  if (!bytes.ok()) return bytes.status();
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

}  // namespace nudge
