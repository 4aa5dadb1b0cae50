// The supervisor's port, whole: HTTP server, tokens, and what its messages mean.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nudge/status.h"
#include "src/ports/access.h"
#include "src/ports/desk.h"
#include "src/ports/event_loop.h"
#include "src/ports/http_server.h"
#include "src/ports/supervisor_port.h"

namespace nudge {

// Lives on the loop's thread, as HttpServer does.
class SupervisorServer {
 public:
  // Errors of HttpServer::listen(). `loop`, `access` and `desk` must outlive it.
  static Result<std::unique_ptr<SupervisorServer>> listen(EventLoop& loop,
                                                          const HttpServerOptions& http,
                                                          SupervisorPortOptions options,
                                                          const Access& access, Desk& desk);
  ~SupervisorServer();

  // Serves commands of this program's user too, at the socket in `folder`: as an engineer, without
  // a token. Errors of LocalListener::listen().
  Status listen_locally(const std::string& folder);

  // Who a token belongs to. Those of `access` never end, so that they are nobody's from elsewhere
  // (`here` false); there a device has to be paired. Null `devices`: there are none.
  static std::optional<Caller> caller_of(const Access& access, DeviceDesk* devices,
                                         std::string_view token, bool here);

  // The token of this role in `access` is another one: ends the live connections that came with it.
  void end_role(Role role);

  std::uint16_t port() const;
  void renew(std::shared_ptr<TlsContext> tls, std::span<const std::string> names);
  DeskListener& listener();
  HttpCounters counters() const;

 private:
  class Sink;
  explicit SupervisorServer(EventLoop& loop);
  EventLoop& loop_;
  // In this order: the server closes its connections first, and the port hears of it.
  std::unique_ptr<SupervisorPort> port_;
  std::unique_ptr<Sink> sink_;
  std::unique_ptr<HttpServer> server_, local_;
};

}  // namespace nudge
