// The way in for people: under which address and names the page is served, and with which
// certificate.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/folder.h"
#include "src/config/config.h"
#include "src/ports/certificate.h"
#include "src/ports/tls_context.h"

namespace nudge {

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

// Looks again, as open_entrance(): what the entrance has become; none: it is as it was. An error
// says why it has to stay as it is, for want of addresses that were found before, too: nobody who
// comes under them is to be shut out.
Result<std::optional<Entrance>> renewed(const Entrance& entrance, const Config& config,
                                        Folder& folder, WallTime now);

}  // namespace nudge
