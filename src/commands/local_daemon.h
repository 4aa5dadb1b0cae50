// The daemon that has the state folder, asked over its own page's port.
#pragma once

#include <string>

#include "nudge/status.h"
#include "policy/folder.h"

namespace nudge {

// As the engineer whose token is in `run`, the state folder's run/. The body of an answer that is
// no refusal; a refusal is a Status with the daemon's words. kUnavailable: no daemon answers.
Result<std::string> ask_daemon(Folder& run, const std::string& method, const std::string& path,
                               const std::string& body);

}  // namespace nudge
