// A small file that only its owner may read, replaced whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "policy/folder.h"

namespace nudge {

// As replace_file(), mode 0600.
Status replace_private(Folder& folder, const std::string& name, std::string_view text);

// At most `max_bytes`. Errors of Folder::read(): kNotFound; kPermissionDenied when others may look
// into it.
Result<std::string> read_private(Folder& folder, const std::string& name, std::size_t max_bytes);

}  // namespace nudge
