// The address of a daemon's page with its token: what a person opens.
#pragma once

#include <string>

#include "src/daemon/daemon.h"

namespace nudge {

// The token stands in the fragment, which browsers never send and servers never log.
inline std::string page_address(const Daemon& daemon) {
  return "http://127.0.0.1:" + std::to_string(daemon.http_port()) +
         "/#token=" + daemon.access().token(Role::kEngineer);
}

}  // namespace nudge
