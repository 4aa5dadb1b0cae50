// What people said about an episode or a span, folded into one answer.
#pragma once

#include <array>
#include <cstddef>

#include "nudge/event.h"

namespace nudge {

// The last label of the highest role wins. kNone takes back what that role had said, so that the
// next lower role's label shows again. Add labels in sequence order.
class Outcome {
 public:
  void add(Role role, LabelValue value) { last_[static_cast<std::size_t>(role)] = value; }

  LabelValue value() const {
    for (std::size_t role = last_.size(); role-- > 0;) {
      if (last_[role] != LabelValue::kNone) return last_[role];
    }
    return LabelValue::kNone;
  }

 private:
  std::array<LabelValue, 4> last_{};  // by Role
};

}  // namespace nudge
