// The way in for people: under which address and names the page is served, and with which
// certificate.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "policy/folder.h"
#include "src/config/config.h"
#include "src/ports/certificate.h"
#include "src/ports/http_client.h"
#include "src/ports/tls_context.h"

namespace nudge {

inline constexpr const char* kEntranceFile = "entrance.json";

// Beyond loopback or when asked for; else the page is served in clear.
bool wants_tls(const Config& config);

struct Entrance {
  std::string address;              // bound
  std::vector<std::string> names;   // served besides loopback: addresses and DNS names, best first
  Status trouble{};                 // why `names` lacks addresses of the machine
  Certificate certificate;          // of `tls`
  std::shared_ptr<TlsContext> tls;  // null: in clear

  // "https://192.168.1.5:8080", the one to tell a tablet first. On loopback that of loopback.
  std::vector<std::string> urls(std::uint16_t port) const;
  // For a browser or a command on this machine.
  std::string local_url(std::uint16_t port) const;
};

// Looks at the machine's interfaces, and makes or renews the certificate in `folder` where that is
// needed. kInvalidArgument: an address or a name is none, TLS is off where it must be on, or a
// certificate cannot be used; errors of own_certificate() and given_certificate().
Result<Entrance> open_entrance(const Config& config, Folder& folder, WallTime now);

// Where a command on this machine finds the daemon, beside the tokens. Writes nothing when that is
// told already; after an error what was there is gone, or the folder cannot be changed at all.
Status write_local_door(Folder& folder, const Entrance& entrance, std::uint16_t port);
// kNotFound: no daemon has been here; kDataLoss: it is no such file.
Result<LocalDoor> read_local_door(Folder& folder);

}  // namespace nudge
