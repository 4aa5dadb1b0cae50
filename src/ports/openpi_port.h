// The openpi policy protocol's server: a robot's program asks, and is answered with what the
// authority lets drive. docs/reference/openpi-port.md specifies what it speaks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/ports/event_loop.h"
#include "src/ports/http_server.h"
#include "src/ports/openpi_link.h"
#include "src/ports/openpi_map.h"
#include "src/ports/openpi_upstream.h"

namespace nudge {

struct OpenpiPortOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8000;         // 0: any that is free
  std::shared_ptr<TlsContext> tls;   // null: loopback only
  std::vector<std::string> names{};  // as HttpServerOptions'
  std::string key{};                 // that clients must show; empty: none needed
  std::string program = "nudge";     // told to clients
  bool gap_begins_episode = true;    // what begins a new one
  bool prompt_begins_episode = true;
  bool connection_begins_episode = true;
  bool reset_begins_episode = true;
  Duration gap = std::chrono::seconds(2);
  Duration fresh = std::chrono::milliseconds(200);    // how long a person's command may be played
  Duration answer = std::chrono::seconds(3);          // longest that a request waits for the policy
  Duration stalled = std::chrono::milliseconds(200);  // a verdict older than this is none
  std::vector<double> max_rate{};                     // of each column
  double slack = 0.5;
  int jpeg_quality = 85;
  OpenpiUpstreamOptions upstream{};  // without a url: the daemon's own policy answers
  // The daemon's head, where it edits the upstream's chunks; outlives the port. Null: it does not.
  ChunkEditor* editor = nullptr;
  // Told what people should know; from the loop's thread.
  std::function<void(const std::string& message, bool trouble)> notice;
};

struct OpenpiPortCounters {
  std::uint64_t sessions = 0;
  std::uint64_t requests = 0, bad_requests = 0;
  std::uint64_t passed_on = 0;  // answers with an upstream's numbers, untouched
  std::uint64_t edited = 0;     // answers with what the head made of them
  std::uint64_t late = 0;       // requests that the policy did not answer in time
  HttpCounters socket;
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class OpenpiPort {
 public:
  // kInvalidArgument: beyond loopback without TLS or without a key, or an upstream that is no URL;
  // kUnavailable: the port is taken.
  static Result<std::unique_ptr<OpenpiPort>> listen(EventLoop& loop, OpenpiPortOptions options,
                                                    std::shared_ptr<const OpenpiMap> map,
                                                    std::shared_ptr<OpenpiLink> link);
  ~OpenpiPort();

  // Another certificate and other names, as HttpServer's.
  void renew(std::shared_ptr<TlsContext> tls, std::span<const std::string> names);
  // Another key, where one is needed: whoever came with the one before is sent away.
  void set_key(std::string key);

  std::uint16_t port() const;
  OpenpiPortCounters counters() const;  // loop's thread

 private:
  OpenpiPort();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nudge
