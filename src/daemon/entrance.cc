#include "src/daemon/entrance.h"

#include <algorithm>
#include <utility>

#include "src/ports/addresses.h"

namespace nudge {
namespace {

constexpr std::size_t kMostNames = 64;  // of a machine with very many interfaces

void add(std::vector<std::string>& names, const std::string& name) {
  const bool known = std::find(names.begin(), names.end(), name) != names.end();
  if (!name.empty() && !known && names.size() < kMostNames) names.push_back(name);
}

// The names of ports.names.
Result<std::vector<std::string>> configured_names(const std::string& list) {
  std::vector<std::string> names;
  if (list == "none") return names;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    std::size_t end = list.find(',', begin);
    if (end == std::string::npos) end = list.size();
    std::string name = list.substr(begin, end - begin);
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    begin = end + 1;
    const std::string canonical = canonical_host(name);
    if (canonical.empty()) {
      return invalid_argument("ports.names: '" + name +
                              "' is neither an IP address nor a host's name");
    }
    add(names, canonical);
  }
  return names;
}

}  // namespace

bool wants_tls(const Config& config) {
  return config.ports.tls == TlsUse::kOn || !is_loopback_address(config.ports.address);
}

std::vector<std::string> Entrance::urls(std::uint16_t port) const {
  const std::string scheme = tls ? "https://" : "http://";
  const std::string suffix = ":" + std::to_string(port);
  if (is_loopback_address(address)) return {scheme + in_url(address) + suffix};
  if (!is_any_address(address)) return {scheme + in_url(address) + suffix};
  std::vector<std::string> urls;
  const bool v6 = address.find(':') != std::string::npos;
  for (const std::string& name : names) {
    const bool is_v6 = name.find(':') != std::string::npos;
    if (is_ip_address(name) && is_v6 != v6) continue;
    urls.push_back(scheme + in_url(name) + suffix);
  }
  if (urls.empty()) urls.push_back(local_url(port));
  return urls;
}

std::string Entrance::local_url(std::uint16_t port) const {
  std::string host = address;
  if (is_any_address(address)) host = address.find(':') == std::string::npos ? "127.0.0.1" : "::1";
  return (tls ? "https://" : "http://") + in_url(host) + ":" + std::to_string(port);
}

Result<Entrance> open_entrance(const Config& config, Folder& folder, WallTime now) {
  Entrance entrance;
  entrance.address = config.ports.address;
  if (!is_ip_address(entrance.address)) {
    return invalid_argument("ports.address: '" + entrance.address +
                            "' is not an IP address; write 0.0.0.0 for all of this machine's, or "
                            "127.0.0.1 for this machine alone");
  }
  Result<std::vector<std::string>> configured = configured_names(config.ports.names);
  if (!configured.ok()) return configured.status();
  if (!wants_tls(config)) {
    entrance.names = *std::move(configured);
    return entrance;
  }
  if (config.ports.tls == TlsUse::kOff) {
    return invalid_argument(
        "ports.address = \"" + entrance.address +
        "\" needs TLS, and ports.tls is \"off\": tokens and the robot's control "
        "would cross the network in clear; set ports.tls to \"auto\", or keep "
        "to 127.0.0.1");
  }
  // What people have named is what they want to see first.
  for (const std::string& name : *configured) add(entrance.names, name);
  if (!is_any_address(entrance.address)) add(entrance.names, canonical_host(entrance.address));
  if (const Result<std::vector<std::string>> found = interface_addresses(); found.ok()) {
    for (const std::string& name : *found) add(entrance.names, name);
  } else if (is_any_address(entrance.address)) {
    entrance.trouble =
        found.status().with_context("the certificate is for ports.names and this host's name only");
  }
  const std::string host = host_name();
  add(entrance.names, host);
  // What mDNS calls the machine.
  if (host.find('.') == std::string::npos && !host.empty()) add(entrance.names, host + ".local");

  const bool own = config.ports.certificate == "own";
  std::vector<std::string> vouched = entrance.names;
  for (const char* local : {"localhost", "127.0.0.1", "::1"}) add(vouched, local);
  Result<Certificate> certificate =
      own ? own_certificate(folder, vouched, now)
          : given_certificate(config.ports.certificate, config.ports.key, now);
  if (!certificate.ok()) return certificate.status();
  entrance.certificate = *std::move(certificate);
  if (!own) {
    for (const std::string& name : entrance.certificate.names) add(entrance.names, name);
  }
  Result<std::shared_ptr<TlsContext>> tls = TlsContext::make(entrance.certificate);
  if (!tls.ok()) return tls.status();
  entrance.tls = *std::move(tls);
  return entrance;
}

Result<std::optional<Entrance>> renewed(const Entrance& entrance, const Config& config,
                                        Folder& folder, WallTime now) {
  Result<Entrance> newest = open_entrance(config, folder, now);
  if (!newest.ok()) return newest.status();
  if (!newest->trouble.ok() && entrance.trouble.ok()) return newest->trouble;
  if (newest->certificate.fingerprint == entrance.certificate.fingerprint &&
      newest->names == entrance.names) {
    return std::optional<Entrance>();
  }
  return std::optional<Entrance>(*std::move(newest));
}

}  // namespace nudge
