// Where a command that is a peer of one of the daemon's ZeroMQ ports finds that port, and with
// which keys.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace nudge {

struct PeerFlags {
  std::uint16_t port = 0;  // on this machine; 0: as configured
  std::string endpoint;    // instead of it, of any machine
  std::string server_key;  // the daemon's, Z85; empty: in clear, which only this machine permits
  std::string key_file;    // this program's own pair

  bool keys() const { return !server_key.empty(); }
  std::string endpoint_of(std::int64_t configured_port) const;
};

// Adds --port, --endpoint, --server-key and --key-file. `flags` must live as long as the command.
void add_peer_flags(CLI::App& command, PeerFlags& flags, const std::string& port_key);

}  // namespace nudge
