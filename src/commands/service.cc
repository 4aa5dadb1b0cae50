#include "src/commands/service.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "src/loop/clock.h"

namespace nudge {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

ServiceManager::ServiceManager() : socket_(variable("NOTIFY_SOCKET")) {
  const std::string period = variable("WATCHDOG_USEC");
  if (!period.empty()) {
    watchdog_ = std::chrono::microseconds(std::strtoll(period.c_str(), nullptr, 10));
  }
}

void ServiceManager::ready(const std::string& status) { tell("READY=1\nSTATUS=" + status); }

void ServiceManager::alive() {
  if (watchdog_ <= Duration::zero()) return;
  const Instant now = steady_now();
  if (fed_ != Instant{} && now - fed_ < watchdog_ / 3) return;
  fed_ = now;
  tell("WATCHDOG=1");
}

void ServiceManager::stopping() { tell("STOPPING=1"); }

void ServiceManager::tell(const std::string& text) const {
  if (socket_.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  // A manager that does not listen is no reason to fail.
  (void)::sendto(descriptor, text.data(), text.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size);
  ::close(descriptor);
}

}  // namespace nudge
