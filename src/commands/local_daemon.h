// The daemon that has a state folder, asked over the socket in it.
#pragma once

#include <string>

#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

// As an engineer, which is what whoever owns the state folder is. The body of an answer that is no
// refusal; a refusal is a Status with the daemon's words. kUnavailable: no daemon answers, be it
// that another command has the folder.
Result<std::string> ask_daemon(const std::string& state_folder, const std::string& method,
                               const std::string& path, const std::string& body,
                               Duration patience = std::chrono::seconds(10));

}  // namespace nudge
