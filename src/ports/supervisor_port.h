// What requests and messages of the supervisor's port mean: the page, the REST surface and the live
// connections, between an HTTP server and the desk. docs/reference/supervisor-port.md and
// openapi.json say what it promises.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/ports/caller_rates.h"
#include "src/ports/camera_views.h"
#include "src/ports/desk.h"
#include "src/ports/device_desk.h"
#include "src/ports/http_server.h"
#include "src/ports/idempotency.h"
#include "src/ports/metrics.h"
#include "src/ports/route.h"
#include "src/ports/token_bucket.h"
#include "src/ports/web_files.h"

namespace nudge {

// Where answers go: an HttpServer, or a test's list.
class LiveSink {
 public:
  virtual ~LiveSink() = default;
  // As HttpServer's functions of these names; none calls back from inside.
  virtual bool send(ConnectionId connection, std::string text) = 0;
  virtual void offer(ConnectionId connection, std::uint32_t channel,
                     std::vector<std::uint8_t> bytes) = 0;
  virtual void close(ConnectionId connection, std::uint16_t code, std::string_view reason) = 0;
  virtual HttpCounters counters() const = 0;
};

struct SupervisorPortOptions {
  std::span<const WebFile> page;  // "index.html" is also had as "/"; must outlive the port
  std::function<Instant()> now;   // robot's steady clock; needed
  std::function<LogMetrics()> log_metrics;    // for /metrics; none: zeros
  std::function<PortMetrics()> port_metrics;  // likewise; none: no such ports
  DeviceDesk* devices = nullptr;  // its routes are served too; outlives the port. Null: none are
  bool secure = false;            // the server speaks TLS

  // Beyond this age of the newest snapshot the step loop has stalled, and the daemon is not ready.
  Duration stalled = std::chrono::seconds(1);
  // A frame that nobody said to have seen for this long is taken for lost.
  Duration frame_timeout = std::chrono::seconds(2);
  // STOP is exempt from the server's rate; this many in a second are more than a thumb can press.
  double stops_per_second = 20;
  CallerRatesOptions rates = {};
  // Of one connection, between two requests to drive that reach the holder.
  Duration between_asks = std::chrono::seconds(1);
  Duration learning_period = std::chrono::seconds(1);  // between two looks at what is learned
  // What all people together may read of the past. Each frame is a read of the disk, each episode
  // one of a whole segment.
  double frames_per_second = 400, past_episodes_per_second = 20;
};

// Lives on the loop's thread.
class SupervisorPort final : public HttpHandler, public DeskListener {
 public:
  // Both must outlive the port.
  SupervisorPort(SupervisorPortOptions options, Desk& desk);
  ~SupervisorPort() override;

  // Before the first call of HttpHandler's functions; must outlive the port's use.
  void attach(LiveSink& sink) { sink_ = &sink; }

  // Everything that is served besides the page's files, the live connection and DeviceDesk's
  // routes.
  static std::span<const Route> routes();
  // HttpServer's Exempt: a short text that may be a STOP. What only looks like one is bounded by
  // `stops_per_second` of each connection.
  static bool may_be_stop(std::string_view text);

  // The token of the machine for this role is another one, or none: ends the live connections that
  // came with it.
  void end_role(Role role);
  // Caller's, of those who come in now with the token of the machine for this role.
  std::uint64_t era(Role role) const { return eras_[static_cast<std::size_t>(role)]; }

  // HttpHandler.
  bool is_public(std::string_view path) const override;
  std::optional<HttpResponse> turn_away(HttpRequest& head,
                                        std::optional<std::uint64_t> body_bytes) override;
  void handle(HttpRequest request, Respond respond) override;
  void on_open(ConnectionId connection, const Caller& caller) override;
  void on_text(ConnectionId connection, const std::string& text) override;
  void on_close(ConnectionId connection) override;

  // DeskListener.
  void on_events(std::span<const Event> events) override;
  void on_status() override;
  void on_frame(std::size_t camera) override;

 private:
  struct Viewer {
    Actor actor;
    std::string device;            // that was paired; empty: none
    double stops = 0;              // allowance left
    Instant stops_at;              // when that was so
    std::optional<Instant> asked;  // the holder to pass the lease on
  };

  // Whether a role may send a message at all; what remains is for the broker and the desk.
  static Status may_send(Role role, const ClientMessage& message);

  const WebFile* file(std::string_view path) const;
  const Route* route(std::string_view path) const;
  void end_device(const std::string& device, std::string_view reason);
  void end_those_without_token();
  HttpResponse answer(const HttpRequest& request);
  void act(const HttpRequest& request, Respond respond);
  HttpResponse ready() const;
  HttpResponse metrics() const;
  HttpResponse episodes(const HttpRequest& request) const;
  void snapshot_log(const HttpRequest& request, Respond respond);
  void read_past(const HttpRequest& request, Respond respond);
  void take_feedback(const HttpRequest& request, Respond respond);
  void submit(ClientMessage message, const Actor& actor, Desk::Reply reply);
  void submit_if_unchanged(const std::string& if_match, ClientMessage message, const Actor& actor,
                           Respond respond);
  std::string status(bool mine) const;
  std::string learning() const;

  bool stop_allowed(Viewer& viewer);
  void refuse(ConnectionId connection, const RefusedMessage& refused, const Status& why);
  void take(ConnectionId connection, Viewer& viewer, ClientMessage message);
  Ack ask_to_drive(Viewer& viewer, const AskToDrive& ask);
  void want(ConnectionId connection, const FramesWanted& wanted);
  void offer(ConnectionId connection, std::size_t camera);
  void send_all(const std::string& text);
  Desk::Reply reply_to(ConnectionId connection);

  SupervisorPortOptions options_;
  Desk& desk_;
  LiveSink* sink_ = nullptr;
  std::map<ConnectionId, Viewer> viewers_;
  CameraViews views_;
  bool curves_changed_ = false, weights_changed_ = false, phrases_changed_ = false;
  std::string learning_sent_;  // newest, to everybody
  Instant learning_looked_{};  // when it was last compared
  std::uint64_t wrong_jogs_ = 0;
  std::array<std::uint64_t, 4> eras_{};  // by Role
  Instant devices_seen_{};               // when those that are too old were looked for
  TokenBucket frames_, past_episodes_;
  CallerRates rates_;
  // Those of feedback, and those of devices, which hold tokens and are kept as short as can be.
  IdempotentAnswers answers_{std::chrono::hours(24)}, secrets_{std::chrono::minutes(1)};
  // What an act with `If-Match` is changing at the moment: a second one has seen the state before.
  std::set<std::string> changing_;
  // Replies of the desk may come when the port is gone.
  std::shared_ptr<SupervisorPort*> self_;
};

// The status of HTTP that an answer to feedback is given with.
int http_status_of(const Status& status);

}  // namespace nudge
