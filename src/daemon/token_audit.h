// Which tokens of the machine the log knows of: a fold over it, and what it has yet to be told when
// a role has another one. So a change is seen whether a daemon ran or not.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nudge/event.h"
#include "src/ports/access.h"

namespace nudge {

// A value type.
class TokenAudit {
 public:
  void apply(const Event& event);  // in order

  // What leads from what is known to `now`, which is known from then on.
  std::vector<Payload> changes_to(const Access& now);

 private:
  std::map<Role, std::string> known_;  // ids; none: the role has no token
};

}  // namespace nudge
