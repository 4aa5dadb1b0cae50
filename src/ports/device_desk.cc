#include "src/ports/device_desk.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/ports/http_rules.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxBody = 2048;
constexpr int kMaxDepth = 4;
constexpr std::size_t kMaxText = 256;  // of one field
constexpr int kRetryAfterSeconds = 60;
constexpr std::string_view kDevicesPath = "/api/v1/devices/", kRevoke = "/revoke";

constexpr Route kRoutes[] = {
    {"GET", "/authority.crt", false},        {"POST", "/api/v1/pair", false},
    {"POST", "/api/v1/token", false},        {"GET", "/api/v1/devices"},
    {"POST", "/api/v1/devices/{id}/revoke"}, {"POST", "/api/v1/pairing-codes"},
};

std::int64_t milliseconds(WallTime time) {
  return time.time_since_epoch() / std::chrono::milliseconds(1);
}

HttpResponse answer_with(const Json& body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

// An object of texts; unknown fields are ignored. None: it is no such thing.
class Body {
 public:
  explicit Body(const std::string& text) {
    if (text.size() > kMaxBody || json_depth(text, kMaxDepth) > kMaxDepth) return;
    json_ = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  }
  bool is_object() const { return json_.is_object(); }
  // None: it is missing, no text, or too long.
  std::optional<std::string> text(const char* name) const {
    const auto found = json_.find(name);
    if (found == json_.end() || !found->is_string()) return std::nullopt;
    const auto& text = found->get_ref<const std::string&>();
    if (text.size() > kMaxText) return std::nullopt;
    return text;
  }

 private:
  nlohmann::json json_;
};

HttpResponse bad(std::string_view what) {
  return problem(400, to_string(Code::kInvalidArgument), what);
}

// `life`: how long its token lasts from now.
Json grant_json(const Grant& grant, Duration life) {
  return {{"token", grant.token},
          {"refresh", grant.refresh},
          {"role", to_string(grant.device.role)},
          {"name", grant.device.name},
          {"robot", grant.device.robot},
          {"device", grant.device.id},
          {"expires_ms", milliseconds(grant.expires)},
          {"life_ms", std::max(life, Duration()) / std::chrono::milliseconds(1)}};
}

HttpResponse not_recording() {
  return problem(503, to_string(Code::kUnavailable),
                 "the log is not recording, and nobody is let in unseen; the page says why, and "
                 "once that is mended, try again");
}

HttpResponse not_kept(std::string_view what, const Status& why) {
  return problem(507, to_string(why.code()),
                 std::string(what) + " the log does not take it: " + why.message());
}

// Empty: there is none.
std::string name_in(const std::vector<Device>& devices, std::string_view id) {
  const auto found = std::find_if(devices.begin(), devices.end(),
                                  [&](const Device& device) { return device.id == id; });
  return found == devices.end() ? std::string() : found->name;
}

std::string described(const Device& device) { return "'" + device.name + "' (" + device.id + ")"; }

}  // namespace

std::string encode_offer(const PairingOffer& offer) {
  return Json({{"code", offer.code},
               {"role", to_string(offer.role)},
               {"url", offer.urls.empty() ? "" : offer.urls.front()},
               {"urls", offer.urls},
               {"fingerprint", offer.fingerprint},
               {"expires_ms", milliseconds(offer.expires)}})
      .dump();
}

DeviceDesk::DeviceDesk(DeviceDeskOptions options, Devices devices)
    : options_(std::move(options)),
      devices_(std::move(devices)),
      latest_(devices_.newest()),
      latest_at_(options_.now()),
      self_(std::make_shared<DeviceDesk*>(this)) {}

std::span<const Route> DeviceDesk::routes() { return kRoutes; }

void DeviceDesk::handle(const HttpRequest& request, HttpHandler::Respond respond) {
  if (request.path == "/authority.crt") return respond(authority());
  if (request.path == "/api/v1/pair") return pair(request, std::move(respond));
  if (request.path == "/api/v1/token") return refresh(request, std::move(respond));
  if (!request.actor || request.actor->role != Role::kEngineer) {
    return respond(
        problem(403, to_string(Code::kPermissionDenied), "this needs the engineer's role"));
  }
  if (request.path == "/api/v1/devices") return respond(list());
  if (request.path == "/api/v1/pairing-codes") return make_code(request, std::move(respond));
  std::string_view id = request.path;
  id.remove_prefix(kDevicesPath.size());
  id.remove_suffix(kRevoke.size());
  revoke(std::string(id), actor_of(request), std::move(respond));
}

void DeviceDesk::pair(const HttpRequest& request, HttpHandler::Respond respond) {
  const Body body(request.body);
  const std::optional<std::string> code = body.is_object() ? body.text("code") : std::nullopt;
  if (!code) return respond(bad(R"(send {"code": "XXXX-XXXX", "name": "..."})"));
  const std::string name = presentable(body.text("name").value_or(""), "tablet");
  // What is refused before the code is looked at does not use it up.
  // A # sets off what the daemon puts behind names.
  if (name.find('#') != std::string::npos) return respond(bad("a device's name may have no #"));
  if (!is_recording()) return respond(not_recording());
  if (const Status room = devices_.has_room(); !room.ok()) {
    return respond(problem(507, to_string(room.code()), room.message()));
  }
  const Result<Role> role = codes_.redeem(*code, request.peer, options_.now());
  if (!role.ok()) {
    const bool too_many = role.status().code() == Code::kResourceExhausted;
    // Those that are not looked at are not told of, either: their number has no bound.
    if (!too_many) tell("a wrong pairing code came from " + request.peer, true);
    HttpResponse refused =
        problem(too_many ? 429 : 403, to_string(role.status().code()), role.status().message());
    if (too_many) refused.retry_after_s = kRetryAfterSeconds;
    return respond(std::move(refused));
  }
  Result<Grant> grant = devices_.pair(name, *role, time());
  if (!grant.ok()) {
    return respond(problem(507, to_string(grant.status().code()), grant.status().message()));
  }
  options_.save(devices_.encode(), [self = self_, peer = request.peer, grant = *std::move(grant),
                                    respond = std::move(respond)](const Status& saved) {
    if (*self == nullptr) return;
    if (!saved.ok()) {
      (*self)->devices_.revoke(grant.device.id);
      return respond(problem(507, to_string(saved.code()),
                             "the device cannot be remembered: " + saved.message()));
    }
    const Device& device = grant.device;
    (*self)->tell(described(device) + " was paired from " + peer + " as " +
                  std::string(to_string(device.role)));
    (*self)->record(
        DevicePaired{.device = device.id, .name = device.name, .role = device.role, .from = peer},
        Actor{device.name, device.role}, [self, grant, respond](const Status& kept) {
          if (*self == nullptr) return;
          if (kept.ok())
            return respond(answer_with(grant_json(grant, grant.expires - (*self)->time())));
          (*self)->devices_.revoke(grant.device.id);
          (*self)->options_.save((*self)->devices_.encode(), [](const Status&) {});
          respond(not_kept("the device is not let in:", kept));
        });
  });
}

void DeviceDesk::refresh(const HttpRequest& request, HttpHandler::Respond respond) {
  const Body body(request.body);
  const std::optional<std::string> secret = body.is_object() ? body.text("refresh") : std::nullopt;
  if (!secret) return respond(bad(R"(send {"refresh": "..."})"));
  const std::vector<Device> before = devices_.list();
  Devices::Refreshed refreshed = devices_.refresh(*secret, time());
  if (refreshed.revoked) {
    record(DeviceRevoked{.device = *refreshed.revoked,
                         .name = name_in(before, *refreshed.revoked),
                         .reason = DeviceEnd::kCopied},
           std::nullopt);
    tell(
        "device " + *refreshed.revoked + " is revoked: from " + request.peer +
            " came a refresh that had been used before, so that somebody has a copy; pair it again",
        true);
    gone(*refreshed.revoked, "revoked");
  } else if (!refreshed.grant) {
    return respond(problem(401, "unauthenticated", "this device is not paired; pair it again"));
  }
  options_.save(devices_.encode(), [self = self_, grant = std::move(refreshed.grant),
                                    respond = std::move(respond)](const Status& saved) {
    if (*self == nullptr) return;
    // A tablet in use is not sent away for the disk's sake: at worst it has to be paired again
    // after a restart.
    if (!saved.ok()) {
      (*self)->tell("what devices may cannot be stored: " + saved.message(), true);
    }
    if (grant) {
      return respond(answer_with(grant_json(*grant, grant->expires - (*self)->time())));
    }
    respond(problem(401, "unauthenticated", "this device was revoked; pair it again"));
  });
}

void DeviceDesk::revoke(const std::string& id, const Actor& who, HttpHandler::Respond respond) {
  DeviceRevoked what{
      .device = id, .name = name_in(devices_.list(), id), .reason = DeviceEnd::kByHand};
  if (!devices_.revoke(id)) {
    return respond(problem(404, to_string(Code::kNotFound), "there is no device " + id));
  }
  tell("device " + id + " was revoked");
  gone(id, "revoked");
  // Whatever the disk does, it is revoked; who asked for it is told how much of that will last.
  options_.save(devices_.encode(), [self = self_, what = std::move(what), who,
                                    respond = std::move(respond)](const Status& saved) {
    if (*self == nullptr) return;
    if (!(*self)->is_recording()) {
      (*self)->record(what, who);
      return respond(problem(503, to_string(Code::kUnavailable),
                             "the device is revoked; the log, which is not recording now, has yet "
                             "to take that"));
    }
    (*self)->record(what, who, [id = what.device, saved, respond](const Status& kept) {
      if (!saved.ok()) {
        return respond(problem(
            507, to_string(saved.code()),
            "the device is revoked, but after a restart it may be back: " + saved.message()));
      }
      if (!kept.ok()) return respond(not_kept("the device is revoked, but", kept));
      respond(answer_with({{"id", id}, {"revoked", true}}));
    });
  });
}

void DeviceDesk::make_code(const HttpRequest& request, HttpHandler::Respond respond) {
  Role role = Role::kSupervisor;
  if (!request.body.empty()) {
    const Body body(request.body);
    if (!body.is_object()) return respond(bad(R"(send {"role": "supervisor"}, or nothing)"));
    const std::optional<Role> wanted = device_role(body.text("role").value_or("supervisor"));
    if (!wanted) return respond(bad("role must be viewer, supervisor or engineer"));
    role = *wanted;
  }
  if (!is_recording()) return respond(not_recording());
  record(PairingCodeMade{role}, actor_of(request),
         [self = self_, role, respond = std::move(respond)](const Status& kept) {
           if (*self == nullptr) return;
           if (!kept.ok()) return respond(not_kept("no code was made:", kept));
           HttpResponse made;
           made.status = 201;
           made.body = encode_offer((*self)->offer(role));
           respond(std::move(made));
         });
}

PairingOffer DeviceDesk::offer(Role role) {
  PairingOffer offer;
  offer.code = codes_.make(role, options_.now());
  offer.role = role;
  for (const std::string& url : served_.urls) offer.urls.push_back(url + "/#pair=" + offer.code);
  offer.fingerprint = served_.fingerprint;
  offer.expires = time() + PairingCodes::kLife;
  return offer;
}

HttpResponse DeviceDesk::list() const {
  Json rows = Json::array();
  for (const Device& device : devices_.list()) {
    Json row = {{"id", device.id},
                {"name", device.name},
                {"role", to_string(device.role)},
                {"robot", device.robot},
                {"paired_ms", milliseconds(device.paired)},
                {"seen_ms", milliseconds(device.seen)},
                {"expires_ms", milliseconds(Devices::expiry(device))},
                {"connected", connected ? connected(device.id) : 0}};
    rows.push_back(std::move(row));
  }
  return answer_with({{"devices", rows}});
}

HttpResponse DeviceDesk::authority() const {
  if (served_.authority_der.empty()) {
    return problem(404, to_string(Code::kNotFound),
                   "there is no certificate authority of this daemon's own to install");
  }
  HttpResponse response;
  response.content_type = "application/x-x509-ca-cert";
  response.body = served_.authority_der;
  return response;
}

std::optional<Caller> DeviceDesk::who_is(std::string_view token) {
  return devices_.who_is(token, time());
}

bool DeviceDesk::has_token(const std::string& device) { return devices_.has_token(device, time()); }

// The wall clock's, but as fast as the steady clock at least: what is over stays over when the wall
// clock is set back, or starts anew without a battery.
WallTime DeviceDesk::time() {
  const Instant now = options_.now();
  latest_ = std::max(options_.wall(), latest_ + (now - std::exchange(latest_at_, now)));
  return latest_;
}

bool DeviceDesk::knows(const std::string& device) const {
  const std::vector<Device> all = devices_.list();
  return std::any_of(all.begin(), all.end(), [&](const Device& d) { return d.id == device; });
}

void DeviceDesk::expire() {
  const std::vector<Device> before = devices_.list();
  const std::vector<std::string> old = devices_.expire(time());
  if (const bool arrived = devices_.take_change(); old.empty() && !arrived) return;
  for (const std::string& device : old) {
    record(
        DeviceRevoked{
            .device = device, .name = name_in(before, device), .reason = DeviceEnd::kUnused},
        std::nullopt);
    tell("device " + device + " was not used for long and is forgotten");
    gone(device, "expired");
  }
  options_.save(devices_.encode(), [](const Status&) {});
}

void DeviceDesk::gone(const std::string& device, std::string_view reason) {
  if (on_gone) on_gone(device, reason);
}

void DeviceDesk::record(Payload what, std::optional<Actor> who, std::function<void(Status)> done) {
  if (options_.record) return options_.record(std::move(what), std::move(who), std::move(done));
  if (done) done({});
}

void DeviceDesk::tell(const std::string& message, bool trouble) const {
  if (options_.notice) options_.notice(message, trouble);
}

}  // namespace nudge
