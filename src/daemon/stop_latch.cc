#include "src/daemon/stop_latch.h"

#include <array>

namespace nudge {
namespace {

constexpr std::byte kFree{'0'};
constexpr std::byte kLatched{'1'};

}  // namespace

Result<StopLatch> StopLatch::open(FileSystem& files, const std::string& path) {
  const Result<bool> there = files.exists(path);
  if (!there.ok()) return there.status().with_context("the STOP latch");
  Result<std::unique_ptr<File>> file = files.open(path, OpenMode::kCreate);
  if (!file.ok()) return file.status().with_context("the STOP latch");
  if (!*there) {
    StopLatch latch(*std::move(file), true);
    NUDGE_TRY(latch.set(false));
    // Or the file, and with it a STOP pressed later, could be gone after a power loss.
    NUDGE_TRY(sync_parent(files, path).with_context("the STOP latch"));
    return latch;
  }
  std::array<std::byte, 1> content{};
  const Result<std::size_t> size = (*file)->pread(content, 0);
  const bool is_free = size.ok() && *size == 1 && content[0] == kFree;
  return StopLatch(*std::move(file), !is_free);
}

Status StopLatch::set(bool latched) {
  const std::array content{latched ? kLatched : kFree};
  NUDGE_TRY(file_->pwrite(content, 0).with_context("the STOP latch"));
  NUDGE_TRY(file_->sync().with_context("the STOP latch"));
  latched_ = latched;
  return {};
}

}  // namespace nudge
