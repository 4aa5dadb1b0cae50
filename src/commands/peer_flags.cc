#include "src/commands/peer_flags.h"

namespace nudge {

std::string PeerFlags::endpoint_of(std::int64_t configured_port) const {
  if (!endpoint.empty()) return endpoint;
  return "tcp://127.0.0.1:" + std::to_string(port != 0 ? port : configured_port);
}

void add_peer_flags(CLI::App& command, PeerFlags& flags, const std::string& port_key) {
  CLI::Option* port = command.add_option(
      "--port", flags.port, "Port of the daemon on this machine, instead of " + port_key);
  command
      .add_option("--endpoint", flags.endpoint,
                  "The daemon's, as in tcp://192.168.1.5:5571, when it is on another machine")
      ->excludes(port);
  CLI::Option* server = command.add_option(
      "--server-key", flags.server_key, "The daemon's key, as 'nudge auth key server' prints it");
  CLI::Option* file = command.add_option("--key-file", flags.key_file,
                                         "File with our own pair, of 'nudge auth key make'");
  server->needs(file);
  file->needs(server);
}

}  // namespace nudge
