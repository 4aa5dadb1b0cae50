#include "src/ports/private_file.h"

#include <sodium.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace nudge {

Status replace_private(Folder& folder, const std::string& name, std::string_view text) {
  std::array<unsigned char, 8> number{};
  randombytes_buf(number.data(), number.size());
  std::array<char, 2 * number.size() + 1> digits{};
  sodium_bin2hex(digits.data(), digits.size(), number.data(), number.size());
  const std::string temporary = name + "." + digits.data() + std::string(kTemporarySuffix);
  Status status =
      folder.create(temporary, std::as_bytes(std::span(text)), Folder::Privacy::kPrivate);
  if (status.ok()) status = folder.rename(temporary, name);
  if (status.ok()) return folder.sync();
  (void)folder.remove(temporary);
  return status;
}

void sweep_private(Folder& folder) {
  const Result<std::vector<std::string>> names = folder.list();
  if (!names.ok()) return;  // what is left is in nobody's way
  for (const std::string& name : *names) {
    if (name.ends_with(kTemporarySuffix)) (void)folder.remove(name);
  }
}

Result<std::string> read_private(Folder& folder, const std::string& name, std::size_t max_bytes) {
  auto bytes = folder.read(name, max_bytes, Folder::Privacy::kPrivate);
  if (!bytes.ok()) return bytes.status();
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

}  // namespace nudge
