#include "src/ports/desk.h"

namespace nudge {

std::string StorageStatus::text() const {
  std::string all;
  for (const std::string& one : {unwritten, over_budget, heads}) {
    if (!one.empty()) all += (all.empty() ? "" : "; ") + one;
  }
  return all;
}

}  // namespace nudge
