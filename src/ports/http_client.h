// One request to a daemon on this machine, for the commands of the program.
#pragma once

#include <cstdint>
#include <string>

#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

// Where a command finds the daemon.
struct LocalDoor {
  std::string address;  // IP
  std::uint16_t port = 0;
  std::string fingerprint;  // SHA-256 of the certificate that it shows, "AB:CD:..."; empty: no TLS
};

struct HttpCall {
  std::string method, path;
  std::string token;  // for Authorization; empty: none
  std::string body;   // JSON; empty: none
};

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// Waits for the answer, at most `patience` for each step of it, and takes at most 1 MiB. Over TLS
// the certificate is the one of the fingerprint and nothing is said to any other. kUnavailable:
// nobody answers; kPermissionDenied: another certificate; kDataLoss: it is no answer of HTTP.
Result<HttpAnswer> call(const LocalDoor& door, const HttpCall& request, Duration patience);

}  // namespace nudge
