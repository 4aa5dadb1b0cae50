// Held by whoever reads, changes and writes small files of a folder, so that of two programs which
// do so at once neither undoes what the other has done.
#pragma once

#include <string>
#include <utility>

#include "nudge/status.h"
#include "nudge/time.h"
#include "src/ports/descriptor.h"

namespace nudge {

// On the folder itself, so that a full disk is in nobody's way. Ends with the object, and with the
// process. Any thread; not for two of one thread at once.
class ChangeLock {
 public:
  // Waits for another holder, at most `patience`, then kUnavailable. kPermissionDenied: this user
  // may not read the folder.
  static Result<ChangeLock> take(const std::string& folder,
                                 Duration patience = std::chrono::seconds(10));

 private:
  explicit ChangeLock(Descriptor folder) : folder_(std::move(folder)) {}
  Descriptor folder_;
};

}  // namespace nudge
