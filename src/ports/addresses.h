// Addresses and names of this machine, as text.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"

namespace nudge {

// IPv4 or IPv6, without brackets, port or zone.
bool is_ip_address(const std::string& text);
// 127.0.0.0/8 or ::1.
bool is_loopback_address(const std::string& text);
// 0.0.0.0 or ::, which stand for all addresses of the machine.
bool is_any_address(const std::string& text);

// Whether whoever connects from `peer` to `local` is on this machine: from loopback, or from the
// very address that it came to, which is nobody else's. False of empty text.
bool is_this_machine(const std::string& peer, const std::string& local);

// The text of 4 or 16 bytes in network order; empty: neither.
std::string address_of(std::span<const unsigned char> bytes);

// A host's name in lower case, "robot-7.local": letters, digits and hyphens, of at most 253 bytes.
bool is_dns_name(std::string_view text);

// As inet_ntop() or a certificate writes it: an address in its shortest form, a name in lower case.
// Empty: neither.
std::string canonical_host(const std::string& text);

// What is counted as one peer: an IPv4 address, or the network (/64) of one of IPv6, of which
// anybody has as many addresses as they like.
std::string network_of(const std::string& address);

// "[::1]" for "::1"; anything else as it is. For URLs and Host.
std::string in_url(const std::string& address);

// The addresses under which others may reach this machine: those of interfaces that are up, but
// loopback and what is valid on one link only (fe80::/10). The one that leads to other networks
// comes first. kUnavailable: the system does not tell.
Result<std::vector<std::string>> interface_addresses();

// As the machine calls itself, in lower case; empty: not a name that a certificate may carry.
std::string host_name();

}  // namespace nudge
