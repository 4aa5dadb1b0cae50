// Which keys the log knows of: a fold over it, and what it has yet to be told when the list is
// another one. So a key is seen whoever wrote the list, and whether a daemon ran or not.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nudge/event.h"
#include "src/ports/keyring.h"

namespace nudge {

// A value type.
class KeyAudit {
 public:
  void apply(const Event& event);  // in order

  // KeyRemoved and KeyAdded that lead from what is known to `now`, which is known from then on. A
  // key that was changed under its name is both.
  std::vector<Payload> changes_to(const Keyring& now);

 private:
  std::map<std::string, KeyAdded> known_;  // by name
};

}  // namespace nudge
