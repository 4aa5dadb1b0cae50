// Who a name in the log stands for.
#pragma once

#include <string_view>

namespace nudge {

// The name as its person gave it, "anna" of "anna#3", "anna#t2" and "anna#d-0123456789abcdef": the
// last # and what follows say through which connection or device they spoke.
inline std::string_view person_of(std::string_view actor) {
  return actor.substr(0, actor.rfind('#'));
}

}  // namespace nudge
