#include "src/daemon/followed_file.h"

#include <sys/stat.h>

#include <utility>

namespace nudge {

FollowedFile::FollowedFile(std::string path) : path_(std::move(path)), stamp_(look()) {}

bool FollowedFile::changed() {
  const Stamp before = std::exchange(stamp_, look());
  return !std::exchange(known_, true) || stamp_ != before;
}

FollowedFile::Stamp FollowedFile::look() const {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0) return {};
  return {static_cast<std::int64_t>(info.st_ino),
          info.st_size,
          info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec,
          info.st_ctim.tv_sec,
          info.st_ctim.tv_nsec,
          static_cast<std::int64_t>(info.st_mode)};
}

}  // namespace nudge
