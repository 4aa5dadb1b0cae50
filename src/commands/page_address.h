// The address of a daemon's page: what a person opens.
#pragma once

#include <string>

#include "src/commands/pairing_text.h"
#include "src/daemon/daemon.h"

namespace nudge {

// On this machine, with the engineer's token. That stands in the fragment, which browsers never
// send and servers never log; where what is printed is kept, there is none.
inline std::string page_address(const Daemon& daemon) {
  const std::string url = daemon.entrance().local_url(daemon.http_port()) + "/";
  return output_is_kept() ? url : url + "#token=" + daemon.access().token(Role::kEngineer);
}

}  // namespace nudge
