// What the daemon shows of itself over TLS: a certificate of its own small authority, made on the
// first start, or one that people have brought.
//
// The authority may vouch for this machine's names and for addresses, and for no other name:
// whoever steals its key gets no certificate for other sites that a tablet would believe.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nudge/status.h"
#include "nudge/time.h"
#include "policy/folder.h"

namespace nudge {

inline constexpr const char* kAuthorityFile = "authority.pem";  // certificate and key
inline constexpr const char* kServerFile = "server.pem";        // the same of the server

// "AB:CD:..."
std::string fingerprint_text(std::span<const unsigned char> digest);

struct Certificate {
  std::string chain_pem;  // of the server, then of whoever vouches for it
  std::string key_pem;    // secret
  // SHA-256 of the server's certificate and of the authority's, "AB:CD:...", 32 bytes.
  std::string fingerprint, authority_fingerprint;
  std::string authority_der;       // what devices install; empty: not ours
  std::vector<std::string> names;  // addresses and DNS names it is valid for
  bool new_authority = false;      // made by this call: what devices have installed is void
};

// The certificate of the machine for `names` (addresses or DNS names), from `folder`, the state
// folder's run/. Makes the authority (ten years) and the certificate (thirteen months) when they
// are missing; another certificate when one of the names is not in it or it ends within a month;
// another authority when it ends within a month or may not vouch for one of the names. Files have
// mode 0600. kPermissionDenied: others may look into a file; kDataLoss: a file is no such thing;
// kInvalidArgument: a name is neither address nor DNS name.
Result<Certificate> own_certificate(Folder& folder, const std::vector<std::string>& names,
                                    WallTime now);

// One that people bring: PEM files, the server's certificate first in its chain. Certificates with
// wildcards name no host that the daemon could check: ports.names adds them. kNotFound;
// kPermissionDenied: the key is open to others; kInvalidArgument: not PEM, no pair, or out of date.
Result<Certificate> given_certificate(const std::string& certificate_file,
                                      const std::string& key_file, WallTime now);

}  // namespace nudge
