#include "src/ports/change_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "src/loop/clock.h"

namespace nudge {
namespace {

constexpr Duration kNap = std::chrono::milliseconds(5);

}  // namespace

Result<ChangeLock> ChangeLock::take(const std::string& folder, Duration patience) {
  const auto failed = [&folder](int error) {
    const std::string text = folder + ": " + std::strerror(error);
    return error == EACCES || error == EPERM ? permission_denied(text) : unavailable(text);
  };
  Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (opened.get() < 0) return failed(errno);
  const Instant begin = steady_now();
  while (::flock(opened.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return failed(errno);
    if (steady_now() - begin >= patience) {
      return unavailable("another command is changing tokens or keys in " + folder + "; try again");
    }
    std::this_thread::sleep_for(kNap);
  }
  return ChangeLock(std::move(opened));
}

}  // namespace nudge
