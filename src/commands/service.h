// What a service manager (systemd) is told: ready, alive, stopping. Without one nothing happens.
#pragma once

#include <string>

#include "nudge/time.h"

namespace nudge {

// sd_notify's protocol: one datagram to the socket named in NOTIFY_SOCKET. One thread.
class ServiceManager {
 public:
  ServiceManager();
  void ready(const std::string& status);
  // Feeds the manager's watchdog (WATCHDOG_USEC), at most twice in its period.
  void alive();
  void stopping();

 private:
  void tell(const std::string& text) const;
  std::string socket_;   // empty: nobody listens
  Duration watchdog_{};  // zero: none
  Instant fed_{};
};

}  // namespace nudge
