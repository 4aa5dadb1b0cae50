// How devices come in and go: the part of the REST surface that pairs them, renews their tokens,
// lists and revokes them. docs/reference/supervisor-port.md says what it promises.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/event.h"
#include "src/ports/devices.h"
#include "src/ports/http_server.h"
#include "src/ports/pairing_codes.h"
#include "src/ports/route.h"

namespace nudge {

// What devices are told of the place where they are served.
struct ServedAt {
  std::vector<std::string> urls;  // "https://192.168.1.5:8080", the best one first
  std::string fingerprint;        // of the certificate; empty: no TLS
  std::string authority_der;      // empty: it is not ours to give
};

// A code and how to use it.
struct PairingOffer {
  std::string code;
  Role role = Role::kSupervisor;
  std::vector<std::string> urls;  // of the page with the code, the best one first
  std::string fingerprint;
  WallTime expires{};
};
std::string encode_offer(const PairingOffer& offer);

struct DeviceDeskOptions {
  std::function<Instant()> now;    // robot's steady clock; needed
  std::function<WallTime()> wall;  // needed
  // Brings the text to disk, and says on the loop's thread how that went.
  std::function<void(std::string text, std::function<void(Status)> done)> save;
  // Has the log keep who came in, who was sent away and who let them; no actor: the daemon. `done`,
  // which may be empty, says on the loop's thread whether it is on disk. Empty: nothing is kept.
  std::function<void(Payload what, std::optional<Actor> who, std::function<void(Status)> done)>
      record{};
  // Whether the log takes anything now; nobody comes in unseen. Empty: it does.
  std::function<bool()> recording{};
  // Told what people should know; no secret is in it. `trouble`: somebody should look. May be
  // empty.
  std::function<void(const std::string& message, bool trouble)> notice;
};

// Lives on the loop's thread.
class DeviceDesk {
 public:
  DeviceDesk(DeviceDeskOptions options, Devices devices);
  ~DeviceDesk() { *self_ = nullptr; }
  DeviceDesk(const DeviceDesk&) = delete;
  DeviceDesk& operator=(const DeviceDesk&) = delete;

  static std::span<const Route> routes();
  // Answers a request whose path is one of the routes, whose method is the route's, and whose
  // caller has a token where one is needed.
  void handle(const HttpRequest& request, HttpHandler::Respond respond);

  void serve_at(ServedAt served) { served_ = std::move(served); }
  PairingOffer offer(Role role);
  std::optional<Caller> who_is(std::string_view token);
  bool knows(const std::string& device) const;
  // Whether it has a token that is in time: what a live connection of it needs.
  bool has_token(const std::string& device);
  // Forgets devices that have not been used for long, and stores what has arrived. Call it now and
  // then.
  void expire();

  // Whose live connections must end, and why: "revoked" or "expired". Set it before the loop runs.
  std::function<void(const std::string& device, std::string_view reason)> on_gone;
  // How many live connections a device has; empty: not told.
  std::function<std::size_t(const std::string& device)> connected;

 private:
  void pair(const HttpRequest& request, HttpHandler::Respond respond);
  void refresh(const HttpRequest& request, HttpHandler::Respond respond);
  void revoke(const std::string& id, const Actor& who, HttpHandler::Respond respond);
  void make_code(const HttpRequest& request, HttpHandler::Respond respond);
  HttpResponse list() const;
  HttpResponse authority() const;
  WallTime time();
  void gone(const std::string& device, std::string_view reason);
  bool is_recording() const { return !options_.recording || options_.recording(); }
  void record(Payload what, std::optional<Actor> who, std::function<void(Status)> done = {});
  void tell(const std::string& message, bool trouble = false) const;

  DeviceDeskOptions options_;
  Devices devices_;
  PairingCodes codes_;
  ServedAt served_;
  // The newest time() and when it was: the wall clock may be set back, or not be set yet.
  WallTime latest_;
  Instant latest_at_;
  // What is saved may be answered when the desk is gone.
  std::shared_ptr<DeviceDesk*> self_;
};

}  // namespace nudge
