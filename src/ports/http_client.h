// One request to the daemon of a state folder, for the commands of the program.
#pragma once

#include <string>

#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

struct HttpCall {
  std::string method, path;
  std::string body;  // JSON; empty: none
};

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// Asks over the socket in `run`, the state folder's run/, as connect_locally(), with its errors.
// Waits at most `patience` for each step of the answer, and takes at most 1 MiB. kUnavailable:
// nobody answers; kDataLoss: it is no answer of HTTP.
Result<HttpAnswer> call(const std::string& run, const HttpCall& request, Duration patience);

}  // namespace nudge
