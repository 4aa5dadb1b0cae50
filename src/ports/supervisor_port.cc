#include "src/ports/supervisor_port.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "src/ports/http_rules.h"
#include "src/ports/openapi.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

constexpr std::uint16_t kPolicyViolation = 1008;
constexpr std::uint16_t kAccessEnded = 4401;  // as HTTP's 401
constexpr Duration kDevicesPeriod = std::chrono::milliseconds(500);
constexpr std::size_t kDefaultEpisodes = 50, kMostEpisodes = 1000;

constexpr Route kRoutes[] = {
    {"GET", "/healthz", false},
    {"GET", "/readyz", false},
    {"GET", "/metrics"},
    {"GET", "/version"},
    {"GET", "/openapi.json"},
    {"GET", "/api/v1/status"},
    {"GET", "/api/v1/robot"},
    {"GET", "/api/v1/episodes"},
    {"GET", "/api/v1/episodes/{id}"},
    {"GET", "/api/v1/episodes/{id}/frames/{camera}/{step}"},
    {"GET", "/api/v1/curves"},
    {"GET", "/api/v1/weights"},
    {"GET", "/api/v1/learning"},
    {"GET", "/api/v1/phrases"},
    {"GET", "/api/v1/log/head"},
    {"POST", "/api/v1/feedback"},
    {"POST", "/api/v1/log/snapshot"},
};
constexpr std::string_view kPast = "/api/v1/episodes/";
constexpr const char* kTooManyActs =
    "more is sent in a second than is taken of one token or device; wait a second, then send it "
    "again";
constexpr const char* kTooMuchPast =
    "too much of the past is asked for at once; try again in a second";
constexpr const char* kNoMatch =
    "If-Match is for acts on the weights and on learning, with the ETag of the weights, and for "
    "labels and splits, with that of their episode, which must be known; leave it out here";

template <typename Number>
std::optional<Number> whole(std::string_view text) {
  Number number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_of_devices(std::string_view path) {
  const std::span<const Route> all = DeviceDesk::routes();
  return std::any_of(all.begin(), all.end(),
                     [&](const Route& route) { return matches(route.path, path); });
}

HttpResponse json(std::string body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

// What a client may keep and ask for again by its tag.
HttpResponse tagged(std::string body) {
  HttpResponse response = json(std::move(body));
  response.etag = etag_of(response.body);
  response.cache_control = "private, no-cache";
  return response;
}

HttpResponse too_many() {
  HttpResponse answer = problem(429, to_string(Code::kResourceExhausted), kTooManyActs);
  answer.retry_after_s = 1;
  answer.close = true;
  return answer;
}

// In the place of an answer; the frames of a page come over one connection, which goes on.
HttpResponse too_much_past() {
  HttpResponse answer = problem(429, to_string(Code::kResourceExhausted), kTooMuchPast);
  answer.retry_after_s = 1;
  return answer;
}

HttpResponse plain(std::string body) {
  HttpResponse response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

Ack ack_of(std::string id, Status status) {
  return {.id = std::move(id), .status = std::move(status), .echo = {}, .epoch = 0, .holder = {}};
}

// `http_status` 0: that of the ack's own status.
HttpResponse answer_of(const Ack& ack, int http_status = 0) {
  if (ack.status.ok()) return json(encode_ack(ack));
  if (http_status == 0) http_status = http_status_of(ack.status);
  HttpResponse refused =
      json(encode_refusal(ack, http_status, reason_phrase(http_status)), http_status);
  refused.content_type = kProblemType;
  return refused;
}

template <typename T>
bool is(const ClientMessage& message) {
  const auto* feedback = std::get_if<FeedbackMessage>(&message);
  return feedback != nullptr && std::holds_alternative<T>(feedback->body);
}

bool is_jog(const ClientMessage& message) { return is<JogCommand>(message); }

std::string id_of(const ClientMessage& message) {
  if (const auto* feedback = std::get_if<FeedbackMessage>(&message)) return feedback->id;
  if (const auto* act = std::get_if<OperatorMessage>(&message)) return act->id;
  if (const auto* ask = std::get_if<AskToDrive>(&message)) return ask->id;
  return {};
}

// The teleop port numbers its peers "#t2", this one its connections "#2"; the number comes last.
bool is_device(std::string_view name) {
  const std::size_t number = name.rfind('#');
  return number != std::string_view::npos && name.substr(number + 1).starts_with('t');
}

bool changes_weights(const Event& event) {
  return std::visit(
      []<typename T>(const T&) {
        return std::is_same_v<T, WeightsAccepted> || std::is_same_v<T, WeightsLive> ||
               std::is_same_v<T, WeightsConfirmed> || std::is_same_v<T, WeightsRolledBack> ||
               std::is_same_v<T, WeightsPromoted> || std::is_same_v<T, CorrectionsWithdrawn> ||
               std::is_same_v<T, CorrectionsRestored>;
      },
      event.payload);
}

bool changes_phrases(const Event& event) {
  return std::holds_alternative<Words>(event.payload) ||
         std::holds_alternative<WordsUndone>(event.payload);
}

bool changes_curves(const Event& event) {
  return std::holds_alternative<EpisodeEnded>(event.payload) ||
         std::holds_alternative<Label>(event.payload);
}

}  // namespace

int http_status_of(const Status& status) {
  switch (status.code()) {
    case Code::kOk: return 200;
    case Code::kInvalidArgument: return 400;
    case Code::kPermissionDenied: return 403;
    case Code::kNotFound: return 404;
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition: return 409;
    case Code::kUnimplemented: return 501;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kAborted: return 503;
    case Code::kResourceExhausted: return 507;
    case Code::kDataLoss:
    case Code::kInternal: return 500;
  }
  return 500;
}

SupervisorPort::SupervisorPort(SupervisorPortOptions options, Desk& desk)
    : options_(std::move(options)),
      desk_(desk),
      views_(desk.info().robot.observation.cameras, options_.frame_timeout),
      frames_(options_.frames_per_second, options_.now()),
      past_episodes_(options_.past_episodes_per_second, options_.now()),
      rates_(options_.rates),
      self_(std::make_shared<SupervisorPort*>(this)) {
  if (options_.devices == nullptr) return;
  options_.devices->on_gone = [this](const std::string& device, std::string_view reason) {
    end_device(device, reason);
  };
  options_.devices->connected = [this](const std::string& device) {
    return static_cast<std::size_t>(
        std::count_if(viewers_.begin(), viewers_.end(),
                      [&](const auto& viewer) { return viewer.second.device == device; }));
  };
}

SupervisorPort::~SupervisorPort() {
  *self_ = nullptr;
  if (options_.devices == nullptr) return;
  options_.devices->on_gone = nullptr;
  options_.devices->connected = nullptr;
}

std::span<const Route> SupervisorPort::routes() { return kRoutes; }

bool SupervisorPort::may_be_stop(std::string_view text) {
  return text.size() <= CallerRates::kMaxBrakeText &&
         text.find("\"stop\"") != std::string_view::npos;
}

// ---- REST ---------------------------------------------------------------------------------------

bool SupervisorPort::is_public(std::string_view path) const {
  const Route* const found = route(path);
  return file(path) != nullptr || (found != nullptr && !found->needs_token);
}

const Route* SupervisorPort::route(std::string_view path) const {
  const auto find = [path](std::span<const Route> all) -> const Route* {
    const auto at =
        std::find_if(all.begin(), all.end(), [&](const Route& r) { return matches(r.path, path); });
    return at == all.end() ? nullptr : &*at;
  };
  const Route* const found = find(kRoutes);
  return found != nullptr || options_.devices == nullptr ? found : find(DeviceDesk::routes());
}

std::optional<HttpResponse> SupervisorPort::turn_away(HttpRequest& head,
                                                      std::optional<std::uint64_t> body_bytes) {
  if (rates_.take(head, body_bytes, options_.now())) return std::nullopt;
  return too_many();
}

void SupervisorPort::handle(HttpRequest request, Respond respond) {
  const Route* const found = route(request.path);
  if (file(request.path) == nullptr && found == nullptr) {
    return respond(problem(404, to_string(Code::kNotFound), "there is nothing at " + request.path));
  }
  if (!is_public(request.path) && !request.actor) {
    return respond(problem(401, "unauthenticated", "this needs a token"));
  }
  const std::string_view wanted = found != nullptr ? found->method : "GET";
  if (request.method != wanted) {
    HttpResponse wrong = problem(405, to_string(Code::kInvalidArgument),
                                 request.path + " is had by " + std::string(wanted));
    wrong.allow = wanted == "GET" ? "GET, HEAD" : "POST";
    return respond(std::move(wrong));
  }
  if (wanted == "POST") return act(request, std::move(respond));
  if (found != nullptr && is_of_devices(request.path)) {
    return options_.devices->handle(request, std::move(respond));
  }
  if (request.path.starts_with(kPast)) return read_past(request, std::move(respond));
  respond(answer(request));
}

void SupervisorPort::act(const HttpRequest& request, Respond respond) {
  const bool of_devices = is_of_devices(request.path);
  if (request.beyond_rate && !rates_.may_spare(request.body)) return respond(too_many());
  // Nothing comes between a person and a robot that is to stand still.
  if (!request.idempotency_key.empty() && !may_be_stop(request.body) &&
      request.body.find("\"hold\"") == std::string::npos) {
    const auto key = idempotency_key(request.idempotency_key);
    if (!key) {
      return respond(problem(400, to_string(Code::kInvalidArgument),
                             "Idempotency-Key must be 1 to 64 of A-Z a-z 0-9 _ . : - and unique"));
    }
    auto first =
        (of_devices ? secrets_ : answers_).take(*key, request, std::move(respond), options_.now());
    if (!first) return;
    respond = *std::move(first);
  }
  const bool of_log = request.path == "/api/v1/log/snapshot";
  if (!of_devices && !of_log) return take_feedback(request, std::move(respond));
  if (!request.if_match.empty()) {
    return respond(problem(400, to_string(Code::kInvalidArgument), kNoMatch));
  }
  if (of_log) return snapshot_log(request, std::move(respond));
  options_.devices->handle(request, std::move(respond));
}

const WebFile* SupervisorPort::file(std::string_view path) const {
  if (path.empty() || path.front() != '/') return nullptr;
  path.remove_prefix(1);
  if (path.empty()) path = "index.html";
  const auto at = std::find_if(options_.page.begin(), options_.page.end(), [&](const WebFile& f) {
    return f.path == path || (!f.path.empty() && f.path.front() == '/' && f.path.substr(1) == path);
  });
  return at == options_.page.end() ? nullptr : &*at;
}

HttpResponse SupervisorPort::answer(const HttpRequest& request) {
  if (const WebFile* page = file(request.path)) {
    HttpResponse response;
    response.content_type = page->content_type;
    response.lasting = {reinterpret_cast<const char*>(page->bytes.data()), page->bytes.size()};
    response.etag = page->etag;
    response.cache_control = "no-cache";  // asked for again, answered with 304
    return response;
  }
  if (request.path == "/healthz") return plain("OK\n");
  if (request.path == "/readyz") return ready();
  if (request.path == "/metrics") return metrics();
  if (request.path == "/version") {
    const std::string_view program = desk_.info().program;
    const std::size_t space = program.find(' ');
    const bool numbered = space != std::string_view::npos;
    return json(nlohmann::ordered_json(
                    {{"program", program.substr(0, space)},
                     {"version", numbered ? program.substr(space + 1) : std::string_view()},
                     {"protocol", kSupervisorProtocol}})
                    .dump());
  }
  if (request.path == "/openapi.json") return tagged(std::string(openapi_json()));
  if (request.path == "/api/v1/status") return json(status(false));
  if (request.path == "/api/v1/robot") return tagged(encode_robot(desk_.info().robot));
  if (request.path == "/api/v1/episodes") return episodes(request);
  if (request.path == "/api/v1/curves") return tagged(encode_curves(desk_.history()));
  if (request.path == "/api/v1/learning") return tagged(learning());
  if (request.path == "/api/v1/phrases") return tagged(encode_phrases(desk_.history()));
  if (request.path == "/api/v1/log/head") {
    if (!desk_.log_head().empty()) return json(desk_.log_head());
    return problem(404, to_string(Code::kNotFound),
                   "no head of the log has been signed yet; ask again in a minute");
  }
  return tagged(encode_weights(desk_.history(), desk_.ledger()));
}

HttpResponse SupervisorPort::ready() const {
  const Snapshot& now = desk_.snapshot();
  std::string why;
  const auto add = [&](const std::string& reason) { why += (why.empty() ? "" : "; ") + reason; };
  if (now.tick == 0) {
    add("the step loop has not begun");
  } else if (const Duration age = options_.now() - now.now; age > options_.stalled) {
    add("the step loop has stalled " + std::to_string(age / std::chrono::milliseconds(1)) +
        " ms ago");
  }
  if (!now.robot_trouble.empty()) add("robot trouble: " + now.robot_trouble);
  if (!desk_.recording()) add("the log is not recording");
  if (!desk_.info().alarm.empty()) add(desk_.info().alarm);
  if (!desk_.storage().unwritten.empty()) add(desk_.storage().unwritten);
  if (!why.empty()) return problem(503, to_string(Code::kUnavailable), why);
  return plain("OK\n");
}

HttpResponse SupervisorPort::metrics() const {
  const Snapshot& now = desk_.snapshot();
  const Instant time = options_.now();
  const MetricsView view = {
      .info = desk_.info(),
      .snapshot = now,
      .history = desk_.history(),
      .learning = desk_.learning(),
      .storage = desk_.storage(),
      .recording = desk_.recording(),
      .robot_state_age = time - now.observation.time,
      .snapshot_age = time - now.now,
      .wrong_jogs = wrong_jogs_,
      .limited = rates_.limited(),
      .http = sink_ != nullptr ? sink_->counters() : HttpCounters{},
      .ports = options_.port_metrics ? options_.port_metrics() : PortMetrics{},
      .log = options_.log_metrics ? options_.log_metrics() : LogMetrics{},
  };
  HttpResponse response = plain(encode_metrics(view));
  response.content_type = kMetricsType;
  return response;
}

HttpResponse SupervisorPort::episodes(const HttpRequest& request) const {
  std::size_t most = kDefaultEpisodes;
  if (const auto given = request.query.find("limit"); given != request.query.end()) {
    const std::string& text = given->second;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), most);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() || most < 1 ||
        most > kMostEpisodes) {
      return problem(400, to_string(Code::kInvalidArgument),
                     "limit must be 1 to " + std::to_string(kMostEpisodes));
    }
  }
  return tagged(encode_episodes(desk_.history(), most));
}

// "{id}" or "{id}/frames/{camera}/{step}"
void SupervisorPort::read_past(const HttpRequest& request, Respond respond) {
  const auto parts = parts_of(std::string_view(request.path).substr(kPast.size()));
  const bool frame = parts.size() > 1;
  const auto episode = whole<EpisodeId>(parts.front());
  const auto step = whole<std::uint32_t>(parts.back());
  if (!episode || (frame && !step)) {
    return respond(
        problem(404, to_string(Code::kNotFound), "episodes and steps are numbers, from 0 up"));
  }
  if (!(frame ? frames_ : past_episodes_).take(options_.now())) {
    return respond(too_much_past());
  }
  const auto reply = [frame, respond = std::move(respond)](Result<std::string> content) {
    if (!content.ok()) {
      const Status& why = content.status();
      const bool busy = why.code() == Code::kResourceExhausted;
      return respond(
          problem(busy ? 429 : http_status_of(why), to_string(why.code()), why.message()));
    }
    HttpResponse response = tagged(*std::move(content));
    if (frame) {
      response.content_type = "image/jpeg";
      response.cache_control = "private, immutable, max-age=86400";  // a step never changes
    }
    respond(std::move(response));
  };
  if (frame) {
    desk_.read_frame(*episode, std::string(parts[2]), *step, reply);
  } else {
    desk_.read_episode(*episode, reply);
  }
}

void SupervisorPort::snapshot_log(const HttpRequest& request, Respond respond) {
  if (actor_of(request).role != Role::kEngineer) {
    return respond(
        problem(403, to_string(Code::kPermissionDenied), "only an engineer may copy the log"));
  }
  desk_.snapshot_log([respond = std::move(respond)](Result<std::string> made) {
    if (made.ok()) return respond(json(*std::move(made)));
    const Status& why = made.status();
    respond(problem(http_status_of(why), to_string(why.code()), why.message()));
  });
}

void SupervisorPort::take_feedback(const HttpRequest& request, Respond respond) {
  const Actor actor = actor_of(request);
  const auto key = idempotency_key(request.idempotency_key);
  auto message =
      parse_client_message(request.body, actor, nullptr, key.value_or(std::string_view()));
  if (request.beyond_rate &&
      !rates_.spare(message, request, desk_.snapshot().state, options_.now())) {
    return respond(too_many());
  }
  if (!message.ok()) {
    return respond(problem(400, to_string(message.status().code()), message.status().message()));
  }
  const bool has_answer = std::holds_alternative<FeedbackMessage>(*message) ||
                          std::holds_alternative<OperatorMessage>(*message);
  if (!has_answer || is_jog(*message)) {
    return respond(problem(400, to_string(Code::kInvalidArgument),
                           "messages of this type are taken by live connections only"));
  }
  if (Status allowed = may_send(actor.role, *message); !allowed.ok()) {
    return respond(answer_of(ack_of(id_of(*message), std::move(allowed))));
  }
  // Nothing is asked of a STOP; what has happened is answered as before, though it changed
  // something.
  if (!request.if_match.empty() && !is<Stop>(*message) && !is<Hold>(*message) &&
      !desk_.history().knows(id_of(*message))) {
    return submit_if_unchanged(request.if_match, *std::move(message), actor, std::move(respond));
  }
  submit(*std::move(message), actor,
         [respond = std::move(respond)](const Ack& ack) { respond(answer_of(ack)); });
}

void SupervisorPort::submit(ClientMessage message, const Actor& actor, Desk::Reply reply) {
  if (auto* feedback = std::get_if<FeedbackMessage>(&message)) {
    desk_.submit(std::move(*feedback), std::move(reply));
  } else {
    desk_.submit(std::get<OperatorMessage>(std::move(message)), actor, std::move(reply));
  }
}

// Compares with what is durable. Of two that have seen the same state only one passes: while it is
// on its way there is no other.
void SupervisorPort::submit_if_unchanged(const std::string& if_match, ClientMessage message,
                                         const Actor& actor, Respond respond) {
  // All that an engineer decides shows in the list of the weights; 0 stands for it.
  EpisodeId episode = 0;
  if (const auto* feedback = std::get_if<FeedbackMessage>(&message)) {
    const auto* label = std::get_if<LabelMessage>(&feedback->body);
    const auto* split = std::get_if<SplitSpan>(&feedback->body);
    const SpanId span = label != nullptr ? label->span : split != nullptr ? split->span : 0;
    if (label != nullptr) episode = label->episode;
    if (span != 0) episode = desk_.episode_of(span);
    if (episode == 0) return respond(problem(400, to_string(Code::kInvalidArgument), kNoMatch));
    if (!past_episodes_.take(options_.now())) return respond(too_much_past());
  }
  const std::string what = episode == 0 ? "weights" : "episode " + std::to_string(episode);
  const auto decide = [self = self_, if_match, what, message = std::move(message), actor,
                       respond = std::move(respond)](const Result<std::string>& now) {
    if (*self == nullptr) return;
    if (!now.ok()) {
      const bool busy = now.status().code() == Code::kResourceExhausted;
      return respond(answer_of(ack_of(id_of(message), now.status()), busy ? 429 : 0));
    }
    if (!if_match_holds(if_match, etag_of(*now)) || !(*self)->changing_.insert(what).second) {
      return respond(answer_of(
          ack_of(id_of(message), aborted("what this act is about has changed since it was "
                                         "looked at; look again, and decide anew")),
          412));
    }
    (*self)->submit(message, actor, [self, what, respond](const Ack& ack) {
      if (*self != nullptr) (*self)->changing_.erase(what);
      respond(answer_of(ack));
    });
  };
  if (episode == 0) return decide(encode_weights(desk_.history(), desk_.ledger()));
  desk_.read_episode(episode, decide);
}

std::string SupervisorPort::status(bool mine) const {
  return encode_status({.snapshot = desk_.snapshot(),
                        .history = desk_.history(),
                        .learning = desk_.learning(),
                        .recording = desk_.recording(),
                        .viewers = viewers_.size(),
                        .alarm = desk_.info().alarm,
                        .storage = desk_.storage().text()},
                       mine);
}

std::string SupervisorPort::learning() const {
  return encode_learning(desk_.dataset(), desk_.ledger(), desk_.learning());
}

// ---- live connections ---------------------------------------------------------------------------

Status SupervisorPort::may_send(Role role, const ClientMessage& message) {
  // Whoever sees danger may stop the robot.
  if (is<Stop>(message) || is<Hold>(message)) return {};
  const bool looks = std::holds_alternative<FramesWanted>(message) ||
                     std::holds_alternative<FrameSeen>(message) ||
                     std::holds_alternative<Ping>(message);
  if (looks) return {};
  if (role == Role::kScript) {
    return permission_denied("a program may only look here; it drives through the teleop port");
  }
  if (role == Role::kViewer) {
    if (is<WordsMessage>(message)) return {};  // the broker lets a viewer say "stop"
    return permission_denied(
        "a viewer may look, say stop and press STOP; ask an engineer for the supervisor's role");
  }
  if (role == Role::kEngineer) return {};
  const auto* act = std::get_if<OperatorMessage>(&message);
  if (is<ResetFault>(message) ||
      (act != nullptr && !std::holds_alternative<RollBackWeights>(act->body))) {
    return permission_denied("this needs the engineer's role");
  }
  return {};
}

void SupervisorPort::on_open(ConnectionId connection, const Caller& caller) {
  Viewer viewer;
  viewer.actor = caller.actor;
  viewer.device = caller.device;
  viewer.stops = options_.stops_per_second;
  viewer.stops_at = options_.now();
  viewers_[connection] = std::move(viewer);
  // It may have been sent away while the connection was being made.
  if (!caller.device.empty() && options_.devices != nullptr &&
      !options_.devices->knows(caller.device)) {
    return sink_->close(connection, kAccessEnded, "revoked");
  }
  if (caller.device.empty() && caller.era != era(caller.actor.role)) {
    return sink_->close(connection, kAccessEnded, "revoked");
  }
  sink_->send(connection, encode_hello(desk_.info(), caller, options_.secure));
  sink_->send(connection, encode_curves(desk_.history()));
  sink_->send(connection, encode_weights(desk_.history(), desk_.ledger()));
  sink_->send(connection, encode_phrases(desk_.history()));
  std::string learned = learning();
  if (viewers_.size() == 1) learning_sent_ = learned;  // others may still be told
  sink_->send(connection, std::move(learned));
}

void SupervisorPort::end_device(const std::string& device, std::string_view reason) {
  for (const auto& [connection, viewer] : viewers_) {
    if (viewer.device == device) sink_->close(connection, kAccessEnded, reason);
  }
}

void SupervisorPort::end_role(Role role) {
  ++eras_[static_cast<std::size_t>(role)];
  for (const auto& [connection, viewer] : viewers_) {
    if (viewer.device.empty() && viewer.actor.role == role) {
      sink_->close(connection, kAccessEnded, "revoked");
    }
  }
}

// A page renews its device's token long before that ends, and stays. A token that somebody else has
// copied, or a page that cannot renew it, does not outlive it here.
void SupervisorPort::end_those_without_token() {
  for (const auto& [connection, viewer] : viewers_) {
    if (viewer.device.empty() || options_.devices->has_token(viewer.device)) continue;
    sink_->close(connection, kAccessEnded, "expired");
  }
}

void SupervisorPort::on_close(ConnectionId connection) {
  viewers_.erase(connection);
  views_.forget(connection);
}

void SupervisorPort::on_text(ConnectionId connection, const std::string& text) {
  const auto at = viewers_.find(connection);
  if (at == viewers_.end()) return;
  Viewer& viewer = at->second;
  if (may_be_stop(text) && !stop_allowed(viewer)) {
    // The last thing that is taken from this connection, if it is a STOP indeed.
    auto last = parse_client_message(text, viewer.actor);
    if (last.ok() && is<Stop>(*last)) take(connection, viewer, *std::move(last));
    return sink_->close(connection, kPolicyViolation, "more messages a second than are allowed");
  }
  if (json_depth(text, kMaxSupervisorDepth) > kMaxSupervisorDepth) {
    return sink_->close(connection, kPolicyViolation, "JSON is nested too deep");
  }
  RefusedMessage refused;
  auto message = parse_client_message(text, viewer.actor, &refused);
  if (!message.ok()) return refuse(connection, refused, message.status());
  if (const Status allowed = may_send(viewer.actor.role, *message); !allowed.ok()) {
    return refuse(connection, {.id = id_of(*message), .jog = is_jog(*message)}, allowed);
  }
  if (!rates_.take(*message, viewer.actor, viewer.device, options_.now())) {
    return refuse(connection, {.id = id_of(*message), .jog = false},
                  resource_exhausted(kTooManyActs));
  }
  take(connection, viewer, std::move(*message));
}

// A bucket that refills within a second. The first presses of STOP always get through.
bool SupervisorPort::stop_allowed(Viewer& viewer) {
  const Instant now = options_.now();
  const double refilled = seconds(now - viewer.stops_at) * options_.stops_per_second;
  viewer.stops = std::min(options_.stops_per_second, viewer.stops + std::max(0.0, refilled));
  viewer.stops_at = now;
  if (viewer.stops < 1) return false;
  viewer.stops -= 1;
  return true;
}

void SupervisorPort::refuse(ConnectionId connection, const RefusedMessage& refused,
                            const Status& why) {
  if (refused.jog) {
    ++wrong_jogs_;  // 50 a second: an answer each would help nobody
  } else if (!refused.id.empty()) {
    sink_->send(connection, encode_ack(ack_of(refused.id, why)));
  } else {
    sink_->send(connection, encode_problem(why));
  }
}

void SupervisorPort::take(ConnectionId connection, Viewer& viewer, ClientMessage message) {
  if (auto* feedback = std::get_if<FeedbackMessage>(&message)) {
    if (auto* jog = std::get_if<JogCommand>(&feedback->body)) {
      if (jog->robot.empty()) jog->robot = desk_.info().robot.id;  // this port has one robot
      desk_.submit(std::move(*feedback), [](const Ack&) {});
    } else {
      desk_.submit(std::move(*feedback), reply_to(connection));
    }
  } else if (auto* act = std::get_if<OperatorMessage>(&message)) {
    desk_.submit(std::move(*act), viewer.actor, reply_to(connection));
  } else if (const auto* wanted = std::get_if<FramesWanted>(&message)) {
    want(connection, *wanted);
  } else if (const auto* seen = std::get_if<FrameSeen>(&message)) {
    if (views_.see(connection, *seen)) offer(connection, seen->camera);
  } else if (const auto* ping = std::get_if<Ping>(&message)) {
    sink_->send(connection, encode_pong(*ping, options_.now()));
  } else if (const auto* ask = std::get_if<AskToDrive>(&message)) {
    sink_->send(connection, encode_ack(ask_to_drive(viewer, *ask)));
  }
}

// Only tells the holder: what passes the lease on is their release, and the asker's takeover then.
Ack SupervisorPort::ask_to_drive(Viewer& viewer, const AskToDrive& ask) {
  const auto& holder = desk_.snapshot().lease.holder;
  if (!holder) {
    return ack_of(ask.id, failed_precondition("nobody has the lease: take over"));
  }
  Ack ack = ack_of(ask.id, {});
  ack.holder = holder->name;
  if (holder->name == viewer.actor.name) {
    ack.status = failed_precondition("you have the lease");
    return ack;
  }
  if (is_device(holder->name)) {
    ack.status = failed_precondition("a device cannot be asked: '" + holder->name +
                                     "' has the lease; speak to whoever drives it");
    return ack;
  }
  const Instant now = options_.now();
  if (viewer.asked && now - *viewer.asked < options_.between_asks) {
    ack.status = resource_exhausted("'" + holder->name + "' has just been asked; wait a moment");
    return ack;
  }
  bool told = false;
  for (const auto& [connection, other] : viewers_) {
    if (other.actor.name != holder->name) continue;
    told = sink_->send(connection, encode_asked_to_drive(viewer.actor)) || told;
  }
  if (!told) {
    ack.status = unavailable("'" + holder->name + "' has no live connection now, and is not told");
    return ack;
  }
  viewer.asked = now;
  return ack;
}

void SupervisorPort::want(ConnectionId connection, const FramesWanted& wanted) {
  for (const std::string& name : wanted.cameras) {
    if (views_.has(name)) continue;
    sink_->send(connection, encode_problem(not_found("there is no camera '" + name + "'")));
  }
  for (const std::size_t camera : views_.want(connection, wanted.cameras)) {
    offer(connection, camera);
  }
}

void SupervisorPort::offer(ConnectionId connection, std::size_t camera) {
  auto frame = views_.next(connection, camera, desk_.frames(), options_.now());
  if (frame) sink_->offer(connection, static_cast<std::uint32_t>(camera), *std::move(frame));
}

Desk::Reply SupervisorPort::reply_to(ConnectionId connection) {
  return [self = self_, connection](const Ack& ack) {
    if (*self != nullptr) (*self)->sink_->send(connection, encode_ack(ack));
  };
}

// ---- from the desk ------------------------------------------------------------------------------

void SupervisorPort::on_events(std::span<const Event> events) {
  for (const Event& event : events) {
    curves_changed_ = curves_changed_ || changes_curves(event);
    weights_changed_ = weights_changed_ || changes_weights(event);
    phrases_changed_ = phrases_changed_ || changes_phrases(event);
    if (!viewers_.empty() && is_shown(event)) send_all(encode_event(event));
  }
}

void SupervisorPort::on_status() {
  if (options_.devices != nullptr && options_.now() - devices_seen_ >= kDevicesPeriod) {
    devices_seen_ = options_.now();
    options_.devices->expire();
    end_those_without_token();
    secrets_.expire(options_.now());
  }
  // The long lists are sent at this pace at most, however fast labels come in.
  if (std::exchange(curves_changed_, false) && !viewers_.empty()) {
    send_all(encode_curves(desk_.history()));
  }
  if (std::exchange(weights_changed_, false) && !viewers_.empty()) {
    send_all(encode_weights(desk_.history(), desk_.ledger()));
  }
  if (std::exchange(phrases_changed_, false) && !viewers_.empty()) {
    send_all(encode_phrases(desk_.history()));
  }
  if (viewers_.empty()) return;
  // Counts change with every commit of a correction.
  if (options_.now() - learning_looked_ >= options_.learning_period) {
    learning_looked_ = options_.now();
    if (std::string now = learning(); now != learning_sent_) {
      learning_sent_ = std::move(now);
      send_all(learning_sent_);
    }
  }
  const std::string others = status(false);
  const auto& holder = desk_.snapshot().lease.holder;
  for (const auto& [connection, viewer] : viewers_) {
    const bool mine = holder && holder->name == viewer.actor.name;
    sink_->send(connection, mine ? status(true) : others);
  }
}

void SupervisorPort::on_frame(std::size_t camera) {
  views_.renew(camera);
  for (const auto& [connection, viewer] : viewers_) offer(connection, camera);
}

void SupervisorPort::send_all(const std::string& text) {
  for (const auto& [connection, viewer] : viewers_) sink_->send(connection, text);
}

}  // namespace nudge
