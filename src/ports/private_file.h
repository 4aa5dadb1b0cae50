// A small file that only its owner may read, replaced whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "policy/folder.h"

namespace nudge {

// As replace_file(), mode 0600, but by way of a name that nobody else uses: of two programs that
// write one file at once, one's stays, whole.
Status replace_private(Folder& folder, const std::string& name, std::string_view text);
// Removes what interrupted replacements have left. Nobody else writes in the folder meanwhile.
void sweep_private(Folder& folder);

// At most `max_bytes`. Errors of Folder::read(): kNotFound; kPermissionDenied when others may look
// into it.
Result<std::string> read_private(Folder& folder, const std::string& name, std::size_t max_bytes);

}  // namespace nudge
