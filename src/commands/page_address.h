// The address of a daemon's page with its token: what a person opens.
#pragma once

#include <string>

#include "src/daemon/daemon.h"

namespace nudge {

// On this machine. The token stands in the fragment, which browsers never send and servers never
// log.
inline std::string page_address(const Daemon& daemon) {
  return daemon.entrance().local_url(daemon.http_port()) +
         "/#token=" + daemon.access().token(Role::kEngineer);
}

}  // namespace nudge
