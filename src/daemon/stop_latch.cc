#include "src/daemon/stop_latch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace nudge {
namespace {

constexpr char kFree = '0';
constexpr char kLatched = '1';

Status trouble(const std::string& what) {
  return unavailable("the STOP latch: " + what + " (" + std::strerror(errno) + ")");
}

}  // namespace

Result<StopLatch> StopLatch::open(const std::string& path) {
  const bool fresh = ::access(path.c_str(), F_OK) != 0;
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return trouble("cannot open " + path);
  if (fresh) {
    StopLatch latch(descriptor, true);
    NUDGE_TRY(latch.set(false));
    return latch;
  }
  char byte = 0;
  const bool is_free = ::pread(descriptor, &byte, 1, 0) == 1 && byte == kFree;
  return StopLatch(descriptor, !is_free);
}

StopLatch::StopLatch(StopLatch&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), latched_(other.latched_) {}

StopLatch::~StopLatch() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status StopLatch::set(bool latched) {
  const char byte = latched ? kLatched : kFree;
  if (::pwrite(descriptor_, &byte, 1, 0) != 1) return trouble("cannot write it");
  if (::fdatasync(descriptor_) != 0) return trouble("cannot make it durable");
  latched_ = latched;
  return {};
}

}  // namespace nudge
