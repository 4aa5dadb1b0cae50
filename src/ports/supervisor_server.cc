#include "src/ports/supervisor_server.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/ports/supervisor_wire.h"

namespace nudge {

class SupervisorServer::Sink final : public LiveSink {
 public:
  // The server asks its handler nothing before the loop runs.
  void set(HttpServer& server) { server_ = &server; }

  bool send(ConnectionId connection, std::string text) override {
    return server_->send(connection, std::move(text));
  }
  void offer(ConnectionId connection, std::uint32_t channel,
             std::vector<std::uint8_t> bytes) override {
    server_->offer(connection, channel, std::move(bytes));
  }
  void close(ConnectionId connection, std::uint16_t code, std::string_view reason) override {
    server_->close(connection, code, reason);
  }
  HttpCounters counters() const override { return server_->counters(); }

 private:
  HttpServer* server_ = nullptr;
};

SupervisorServer::SupervisorServer(EventLoop& loop) : loop_(loop) {}
SupervisorServer::~SupervisorServer() = default;

Result<std::unique_ptr<SupervisorServer>> SupervisorServer::listen(EventLoop& loop,
                                                                   const HttpServerOptions& http,
                                                                   SupervisorPortOptions options,
                                                                   const Access& access,
                                                                   Desk& desk) {
  std::unique_ptr<SupervisorServer> all(new SupervisorServer(loop));
  options.secure = http.tls != nullptr;
  DeviceDesk* const devices = options.devices;
  all->port_ = std::make_unique<SupervisorPort>(std::move(options), desk);
  all->sink_ = std::make_unique<Sink>();
  all->port_->attach(*all->sink_);
  const auto who_is = [&access, devices, port = all->port_.get()](std::string_view token,
                                                                  bool here) {
    std::optional<Caller> caller = caller_of(access, devices, token, here);
    if (caller && caller->device.empty()) caller->era = port->era(caller->actor.role);
    return caller;
  };
  auto server = HttpServer::listen(loop, http, who_is, SupervisorPort::may_be_stop, *all->port_);
  if (!server.ok()) return server.status();
  all->server_ = *std::move(server);
  all->sink_->set(*all->server_);
  return all;
}

Status SupervisorServer::listen_locally(const std::string& folder) {
  const Role role = Role::kEngineer;
  Result<std::unique_ptr<HttpServer>> local = HttpServer::listen_locally(
      loop_, folder, {.actor = {std::string(to_string(role)), role}}, *port_);
  if (!local.ok()) return local.status();
  local_ = *std::move(local);
  return {};
}

std::optional<Caller> SupervisorServer::caller_of(const Access& access, DeviceDesk* devices,
                                                  std::string_view token, bool here) {
  if (std::optional<Actor> actor = access.who_is(token)) {
    return here ? std::optional(Caller{*std::move(actor), ""}) : std::nullopt;
  }
  return devices != nullptr ? devices->who_is(token) : std::nullopt;
}

void SupervisorServer::end_role(Role role) { port_->end_role(role); }
std::uint16_t SupervisorServer::port() const { return server_->port(); }
void SupervisorServer::renew(std::shared_ptr<TlsContext> tls, std::span<const std::string> names) {
  server_->renew(std::move(tls), names);
}
DeskListener& SupervisorServer::listener() { return *port_; }
HttpCounters SupervisorServer::counters() const { return server_->counters(); }

}  // namespace nudge
