// Short codes with which a person lets a device in, and how many guesses there are. Codes live in
// memory: a restart ends them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "nudge/time.h"
#include "nudge/types.h"

namespace nudge {

// One thread. Time is the robot's steady clock.
class PairingCodes {
 public:
  static constexpr Duration kLife = std::chrono::minutes(10);
  static constexpr std::size_t kMost = 8;  // at once; a further one ends the oldest
  // Wrong tries: so many at once, then one more each period. Within the life of a code that makes
  // some 90 of 30^8 in all.
  static constexpr double kTriesOfOne = 5, kTriesOfAll = 30;
  static constexpr Duration kNextOfOne = std::chrono::minutes(1);
  static constexpr Duration kNextOfAll = std::chrono::seconds(10);

  // "K7QF-2M9X": no letter or digit that looks like another. For one device, once.
  std::string make(Role role, Instant now);

  // The role of the code, which is used up by this. Case, spaces and hyphens do not matter.
  // kPermissionDenied: wrong, used or expired; kResourceExhausted: too many wrong ones from this
  // address (of IPv6, its network) or in all, and nothing was looked at.
  Result<Role> redeem(std::string_view code, const std::string& address, Instant now);

 private:
  struct Code {
    std::string text;  // without the hyphen
    Role role;
    Instant until;
  };
  // Tries left, as of a time; fills up again.
  struct Tries {
    double left;
    Instant at;
  };
  static bool may_try(Tries& tries, double most, Duration next, Instant now);

  std::vector<Code> codes_;  // oldest first
  std::map<std::string, Tries> of_one_;
  Tries of_all_{kTriesOfAll, {}};
};

}  // namespace nudge
