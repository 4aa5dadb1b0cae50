#include "src/ports/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
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
    Family& add(double value, std::string_view label = {}, std::string_view label_value = {}) {
      ClientMetric metric;
      if (!label.empty()) metric.label.push_back({std::string(label), std::string(label_value)});
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

  out.gauge("nudge_weights_version", "Version of the weights; 0: none.")
      .add(number(view.history.live()), "kind", "live")
      .add(number(view.history.confirmed()), "kind", "confirmed");
  out.state("nudge_learning_state", "What the learner does; 1 for the present state.",
            kLearningStates, view.learning.state);
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
  out.counter("nudge_messages_total", "Messages of live connections, since boot.")
      .add(number(view.http.messages));
  out.counter("nudge_connections_closed_total", "Live connections closed by us, since boot.")
      .add(number(view.http.closed_slow), "reason", "slow")
      .add(number(view.http.closed_rate), "reason", "rate")
      .add(number(view.http.closed_bad), "reason", "bad");
  out.counter("nudge_frames_total", "Camera frames for live connections, since boot.")
      .add(number(view.http.frames_sent), "result", "sent")
      .add(number(view.http.frames_dropped), "result", "dropped");
  return out.text();
}

}  // namespace nudge
