#include "src/ports/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace nudge {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// prometheus-cpp's registry counts by itself; here everything has been counted already, so that
// only its text format is used.
class Families {
 public:
  // The values of one metric.
  class Family {
   public:
    explicit Family(MetricFamily& family) : family_(family) {}
    struct Label {
      std::string_view name, value;
    };
    Family& add(double value) { return add(value, {}); }
    Family& add(double value, std::string_view label, std::string_view label_value) {
      return add(value, {{label, label_value}});
    }
    Family& add(double value, std::initializer_list<Label> labels) {
      ClientMetric metric;
      for (const Label& label : labels) {
        metric.label.push_back({std::string(label.name), std::string(label.value)});
      }
      (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
      family_.metric.push_back(std::move(metric));
      return *this;
    }

   private:
    MetricFamily& family_;
  };

  Family counter(const char* name, const char* help) {
    return make(name, help, MetricType::Counter);
  }
  Family gauge(const char* name, const char* help) { return make(name, help, MetricType::Gauge); }
  void histogram(const char* name, const char* help, const DurationHistogram& times) {
    ClientMetric metric;
    metric.histogram.sample_count = times.count();
    metric.histogram.sample_sum = seconds(times.sum());
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < DurationHistogram::kBounds.size(); ++i) {
      below += times.counts()[i];
      metric.histogram.bucket.push_back({below, seconds(Duration(DurationHistogram::kBounds[i]))});
    }
    make(name, help, MetricType::Histogram);
    families_.back().metric.push_back(std::move(metric));
  }
  // One value for each of `words`: 1 for the present one.
  template <typename Words>
  void state(const char* name, const char* help, const Words& words, std::string_view now) {
    Family family = gauge(name, help);
    for (const std::string_view word : words) family.add(word == now ? 1 : 0, "state", word);
  }

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return std::move(out).str();
  }

 private:
  Family make(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
    return Family(families_.back());
  }
  std::vector<MetricFamily> families_;
};

double number(std::uint64_t value) { return static_cast<double>(value); }

constexpr std::array<std::string_view, 7> kLearningStates = {
    "off", "idle", "training", "paused", "waiting", "stale", "restarting"};

// What the ZeroMQ ports counted. A port that is not there has no values, rather than zeros.
void add_ports(Families& out, const PortMetrics& ports) {
  const auto& robot = ports.robot;
  const auto& teleop = ports.teleop;
  if (!robot && !teleop) return;
  struct Value {
    std::string_view label;
    std::uint64_t count;
  };
  using Values = std::initializer_list<Value>;
  const auto add = [](Families::Family& family, std::string_view port, std::string_view label,
                      Values values) {
    for (const Value& value : values) {
      family.add(number(value.count), {{"port", port}, {label, value.label}});
    }
  };
  // The same of both ports.
  const auto each = [&](Families::Family family, auto value) {
    if (robot) family.add(number(value(*robot)), "port", "robot");
    if (teleop) family.add(number(value(*teleop)), "port", "teleop");
  };

  each(out.counter("nudge_port_sessions_total", "Robots and devices that were welcomed."),
       [](const auto& port) { return port.sessions; });
  if (teleop) {
    out.gauge("nudge_port_peers", "Devices that have a session now.")
        .add(number(teleop->peers), "port", "teleop");
  }
  each(out.counter("nudge_port_refused_hellos_total", "Greetings that were turned away."),
       [](const auto& port) { return port.refused_hellos; });
  auto ended = out.counter("nudge_port_sessions_ended_total",
                           "Sessions that the daemon ended, by reason: too many messages, a peer "
                           "that does not read, or one that went silent.");
  if (robot) add(ended, "robot", "reason", {{"silent", robot->lost}});
  if (teleop) {
    add(ended, "teleop", "reason",
        {{"rate", teleop->ended_rate},
         {"slow", teleop->ended_slow},
         {"silent", teleop->ended_silent}});
  }

  auto taken = out.counter("nudge_port_messages_total", "Messages that were taken, by kind.");
  if (robot) add(taken, "robot", "kind", {{"observation", robot->observations}});
  if (teleop) {
    add(taken, "teleop", "kind", {{"jog", teleop->jogs}, {"feedback", teleop->feedback}});
  }
  auto dropped = out.counter("nudge_port_messages_dropped_total",
                             "Messages that were not taken, by reason: against the format, not one "
                             "part, without a session, or of another size than the robot's.");
  // A port counts what its socket dropped among its own.
  if (robot) {
    add(dropped, "robot", "reason",
        {{"malformed", robot->bad_messages - robot->socket.malformed},
         {"parts", robot->socket.malformed},
         {"foreign", robot->foreign},
         {"size", robot->wrong_sizes}});
  }
  if (teleop) {
    add(dropped, "teleop", "reason",
        {{"malformed", teleop->bad_messages - teleop->socket.malformed},
         {"parts", teleop->socket.malformed},
         {"foreign", teleop->foreign}});
  }
  auto sent = out.counter("nudge_port_sent_total", "Actions and states that were sent.");
  if (robot) add(sent, "robot", "kind", {{"action", robot->actions}});
  if (teleop) add(sent, "teleop", "kind", {{"state", teleop->states}});
  auto unsent = out.counter("nudge_port_unsent_total",
                            "Actions and states that were not sent, by reason: too late for their "
                            "deadline, or the peer does not read.");
  if (robot) {
    add(unsent, "robot", "reason", {{"late", robot->late_actions}, {"unread", robot->unsent}});
  }
  if (teleop) add(unsent, "teleop", "reason", {{"unread", teleop->unsent_states}});
  if (robot) {
    out.counter("nudge_port_clock_jumps_total", "Jumps of the robot's clock against the daemon's.")
        .add(number(robot->clock_jumps), "port", "robot");
  }

  each(out.gauge("nudge_port_connections", "Connections that are open now."),
       [](const auto& port) { return port.socket.open; });
  each(out.counter("nudge_port_connections_accepted_total", "Connections that were accepted."),
       [](const auto& port) { return port.socket.accepted; });
  auto closed = out.counter("nudge_port_connections_closed_total",
                            "Connections that the daemon closed, by reason: no room, made room for "
                            "another, broke the protocol, too many frames, no sign of life, or "
                            "held the room of unfinished messages.");
  const auto add_closed = [&](std::string_view port, const RouterCounters& socket) {
    add(closed, port, "reason",
        {{"refused", socket.refused},
         {"evicted", socket.evicted},
         {"bad", socket.cut_bad},
         {"rate", socket.cut_rate},
         {"silent", socket.cut_silent},
         {"slow", socket.cut_slow},
         {"key", socket.cut_key}});
  };
  if (robot) add_closed("robot", robot->socket);
  if (teleop) add_closed("teleop", teleop->socket);
  each(out.gauge("nudge_port_unfinished_bytes", "Of messages that have not arrived as a whole."),
       [](const auto& port) { return port.socket.unfinished; });
}

}  // namespace

std::string encode_metrics(const MetricsView& view) {
  const Snapshot& now = view.snapshot;
  Families out;

  out.gauge("nudge_build_info", "Always 1; what runs is in its label.")
      .add(1, "program", view.info.program);
  out.counter("nudge_control_ticks_total", "Control ticks since boot.").add(number(now.tick));
  out.counter("nudge_missed_ticks_total", "Control ticks that were not kept, since boot.")
      .add(number(now.missed_ticks));
  out.histogram("nudge_tick_work_seconds", "CPU time of each control tick since boot.", now.work);
  out.histogram("nudge_tick_late_seconds", "How much later than due each control tick began.",
                now.late);
  out.gauge("nudge_tick_work_worst_seconds", "The longest of all.").add(seconds(now.work.worst()));
  out.gauge("nudge_tick_late_worst_seconds", "The latest of all.").add(seconds(now.late.worst()));
  out.gauge("nudge_snapshot_age_seconds", "Since the newest control tick began.")
      .add(seconds(view.snapshot_age));

  std::array<std::string_view, 7> states;
  for (std::size_t i = 0; i < states.size(); ++i) {
    states[i] = to_string(static_cast<AuthorityState>(i));
  }
  out.state("nudge_state", "Who moves the robot; 1 for the present state.", states,
            to_string(now.state));
  out.gauge("nudge_lease_held", "1 while somebody has the lease.").add(now.lease.holder ? 1 : 0);
  out.gauge("nudge_robot_state_age_seconds", "Age of the robot's newest state.")
      .add(seconds(view.robot_state_age));
  out.gauge("nudge_robot_trouble", "1 while the robot reports trouble.")
      .add(now.robot_trouble.empty() ? 0 : 1);

  auto refused = out.counter("nudge_commands_refused_total",
                             "Driving commands that moved nothing, by reason, since boot.");
  for (std::size_t i = 0; i < kCommandRefusals; ++i) {
    refused.add(number(now.refused_commands[i]), "reason",
                to_string(static_cast<CommandRefusal>(i)));
  }
  refused.add(number(view.wrong_jogs), "reason", "malformed");

  out.gauge("nudge_recording", "1 while steps are being recorded.").add(view.recording ? 1 : 0);
  out.gauge("nudge_log_damaged", "1 when this boot found the log damaged; /readyz says how.")
      .add(view.info.alarm.empty() ? 0 : 1);
  out.counter("nudge_steps_lost_total", "Steps that could not be recorded, since boot.")
      .add(number(now.lost_steps));
  out.gauge("nudge_log_durable_sequence", "Number of the last log entry that is on disk.")
      .add(number(view.log.durable));
  out.gauge("nudge_log_pending_entries", "Log entries that wait to be on disk.")
      .add(number(view.log.pending_entries));
  out.counter("nudge_log_commits_total", "Group commits since boot.").add(number(view.log.commits));
  out.counter("nudge_log_failed_commits_total", "Group commits that failed, since boot.")
      .add(number(view.log.failed_commits));
  out.gauge("nudge_log_wal_bytes", "Size of the write-ahead log in use.")
      .add(number(view.log.wal_bytes));
  out.gauge("nudge_log_head_sequence", "Last event that the newest signed head covers.")
      .add(number(view.log.head_sequence));
  out.gauge("nudge_log_segment_bytes", "Size of the recorded steps.")
      .add(number(view.log.segment_bytes));
  out.counter("nudge_log_evicted_episodes_total",
              "Episodes whose steps were deleted to keep to log.budget_bytes, of the whole log.")
      .add(number(view.log.evicted));
  out.gauge("nudge_log_over_budget",
            "1 while the recorded steps exceed log.budget_bytes and none of them may be deleted.")
      .add(view.storage.over_budget.empty() ? 0 : 1);
  out.gauge("nudge_state_unwritten",
            "1 while a file of the state folder cannot be written; /readyz says which.")
      .add(view.storage.unwritten.empty() ? 0 : 1);
  out.gauge("nudge_log_heads_waiting", "Signed heads that are not in log.heads_file yet.")
      .add(number(view.storage.heads_waiting));
  out.counter("nudge_log_heads_exported_total",
              "Signed heads appended to log.heads_file, since boot.")
      .add(number(view.storage.heads_exported));
  out.counter("nudge_log_heads_dropped_total",
              "Signed heads that waited too long for log.heads_file and were given up, since boot.")
      .add(number(view.storage.heads_dropped));

  out.gauge("nudge_weights_version", "Version of the weights; 0: none.")
      .add(number(view.history.live()), "kind", "live")
      .add(number(view.history.confirmed()), "kind", "confirmed");
  out.state("nudge_learning_state", "What the learner does; 1 for the present state.",
            kLearningStates, view.learning.state);
  auto confined =
      out.gauge("nudge_learner_confined", "1 while the learner is confined by all of its sandbox.");
  if (view.learning.confined) confined.add(*view.learning.confined ? 1 : 0);
  out.counter("nudge_episodes_total", "Deployment episodes that have ended, of the whole log.")
      .add(number(view.history.total_episodes()));

  out.gauge("nudge_help_asked", "1 while the policy asks for help.")
      .add(now.help.help != 0 ? 1 : 0);
  out.counter("nudge_help_asks_total", "How often the policy has asked for help, since boot.")
      .add(number(now.help_asks));
  auto uncertainty = out.gauge("nudge_policy_uncertainty",
                               "Disagreement of the policy's samples; it asks at 0.5.");
  if (now.uncertainty) uncertainty.add(*now.uncertainty);

  out.gauge("nudge_connections", "Connections to the supervisor's port.")
      .add(number(view.http.open - std::min(view.http.live, view.http.open)), "kind", "request")
      .add(number(view.http.live), "kind", "live");
  out.counter("nudge_http_requests_total", "Requests that were answered, since boot.")
      .add(number(view.http.requests));
  out.counter("nudge_http_rejected_total", "Requests that broke a rule, since boot.")
      .add(number(view.http.rejected_requests));
  out.counter("nudge_limited_total",
              "Requests and messages beyond what one caller may send in a second, since boot.")
      .add(number(view.limited));
  out.counter("nudge_http_unsent_answers_total",
              "Answers replaced by 503, because too much waited to be read, since boot.")
      .add(number(view.http.unsent_answers));
  out.counter("nudge_failed_handshakes_total",
              "TLS handshakes broken off, too slow, or more than are begun a second, since boot.")
      .add(number(view.http.failed_handshakes));
  out.counter("nudge_messages_total", "Messages of live connections, since boot.")
      .add(number(view.http.messages));
  out.counter("nudge_connections_closed_total", "Live connections closed by us, since boot.")
      .add(number(view.http.closed_slow), "reason", "slow")
      .add(number(view.http.closed_rate), "reason", "rate")
      .add(number(view.http.closed_bad), "reason", "bad");
  out.counter("nudge_frames_total", "Camera frames for live connections, since boot.")
      .add(number(view.http.frames_sent), "result", "sent")
      .add(number(view.http.frames_dropped), "result", "dropped");
  add_ports(out, view.ports);
  return out.text();
}

}  // namespace nudge
