// A client of an openpi server: the policy elsewhere whose chunks are passed on. Connects again by
// itself; one request at a time. Over TLS (1.2 and newer) nothing is said to a server, its key
// least of all, before its certificate has been found to be the right one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "src/ports/event_loop.h"

namespace nudge {

struct OpenpiUpstreamOptions {
  std::string url;    // "ws://host:port", "wss://host[:port]", with a path behind it or none
  std::string key{};  // empty: none
  // Of wss: a PEM file of authorities; empty: those that the system trusts.
  std::string authorities{};
  // The one certificate that the server may show, "AB:CD:..." (SHA-256), whoever vouches for it and
  // whatever names and days it states; empty: authorities, names and days count.
  std::string fingerprint{};
  std::size_t max_message = 32u << 20;
  Duration retry = std::chrono::seconds(1);  // after a connection has failed
};

// Lives on the loop's thread; create and destroy it there, or while the loop does not run.
class OpenpiUpstream {
 public:
  // Called on the loop's thread.
  struct Listener {
    virtual ~Listener() = default;
    // Connected; `metadata` is the frame that the server began with.
    virtual void on_upstream(const std::string& metadata) = 0;
    // The answer to ask(), or what the server said went wrong.
    virtual void on_answer(Result<std::string> answer) = 0;
    // No longer connected, or still not; `why` is for people. What was asked gets no answer.
    virtual void on_upstream_lost(const std::string& why) = 0;
  };

  // kInvalidArgument: not a URL of the form above, no fingerprint, a file without certificates,
  // either of them for a server that shows no certificate, or a key that would leave this machine
  // in clear. An address with a scope ("fe80::1%eth0") goes with ws:// alone: no certificate can be
  // for it. Begins to connect once the loop runs.
  static Result<std::unique_ptr<OpenpiUpstream>> make(EventLoop& loop,
                                                      const OpenpiUpstreamOptions& options,
                                                      Listener& listener);
  ~OpenpiUpstream();

  // "host:port", for people: paths and queries may hold what is nobody else's business.
  std::string authority() const;
  bool connected() const;
  bool busy() const;  // an answer is outstanding
  // kUnavailable: not connected, or busy.
  Status ask(std::string request);

 private:
  OpenpiUpstream();
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nudge
