// Tells when a small file has become another one, by what the system keeps about it: looking costs
// no read, and never waits for the disk.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace nudge {

// One thread.
class FollowedFile {
 public:
  // As it is now. Made before the file is read for the first time, it misses no change.
  explicit FollowedFile(std::string path);

  // Whether it was written, replaced, made or removed since the call before, or since the making.
  bool changed();
  // The next changed() is true: what this one led to could not be done.
  void look_again() { known_ = false; }

 private:
  using Stamp = std::array<std::int64_t, 7>;
  Stamp look() const;

  std::string path_;
  Stamp stamp_{};
  bool known_ = true;
};

}  // namespace nudge
