// As many messages as flow in per second, with a second's worth at once.
#pragma once

#include <algorithm>

#include "nudge/time.h"

namespace nudge {

class TokenBucket {
 public:
  TokenBucket(double per_second, Instant now) : rate_(per_second), level_(per_second), at_(now) {}

  bool take(Instant now) {
    level_ = std::min(rate_, level_ + rate_ * seconds(now - at_));
    at_ = now;
    if (level_ < 1) return false;
    level_ -= 1;
    return true;
  }

 private:
  double rate_, level_;
  Instant at_;
};

}  // namespace nudge
