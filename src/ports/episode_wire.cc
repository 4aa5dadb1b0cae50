#include "src/ports/episode_wire.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

using Json = nlohmann::ordered_json;

std::string_view name_of(SpanEnd end) {
  switch (end) {
    case SpanEnd::kReleased: return "released";
    case SpanEnd::kLinkLost: return "link_lost";
    case SpanEnd::kPreempted: return "preempted";
    case SpanEnd::kEpisodeEnded: return "episode_ended";
    case SpanEnd::kFault: return "fault";
    case SpanEnd::kStopped: return "stopped";
  }
  return "unknown";
}

double rounded(double value) { return std::round(value * 1000) / 1000; }

template <typename T>
void put_number(std::string& out, T value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

// The shortest that reads as the same float; null when there is no such number.
void put_rates(std::string& out, std::span<const float> values) {
  if (values.empty()) {
    out += "null";
    return;
  }
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ',';
    if (std::isfinite(values[i])) {
      put_number(out, values[i]);
    } else {
      out += "null";
    }
  }
  out += ']';
}

Json spans_json(const EpisodeRecord& record, std::uint32_t count) {
  Json list = Json::array();
  for (const SpanRecord& span : record.spans) {
    // Of one that goes on: as far as it has come.
    const std::uint32_t newest = std::max(count, span.first_step) - 1;
    const std::int64_t last = span.closed  ? std::int64_t{span.closed->last_step}
                              : count == 0 ? std::int64_t{span.first_step} - 1
                                           : std::int64_t{newest};
    list.push_back(
        {{"id", span.span},
         {"kind", span.kind == SpanKind::kTakeover ? "takeover" : "nudge"},
         {"first_step", span.first_step},
         {"last_step", last},
         {"correction_from", span.correction_from ? Json(*span.correction_from) : Json(nullptr)},
         {"reason", span.closed ? Json(name_of(span.closed->reason)) : Json(nullptr)},
         {"complete", !span.closed || span.closed->complete},
         {"actor", {{"name", span.actor.name}, {"role", to_string(span.actor.role)}}},
         {"label", to_string(span.said.value())},
         {"seconds", rounded(seconds(span.length))}});
  }
  return list;
}

}  // namespace

bool StepColumns::add(const StepView& step) {
  constexpr std::uint32_t kMostMissing = 1u << 20;  // a jump beyond it is damage
  if (step.policy_step < count_ || step.policy_step - count_ > kMostMissing) return false;
  miss(step.policy_step);
  // A float needs 16 bytes at most, and the rest of an entry less than 64.
  const std::size_t most = 64 + 16 * (step.proposed.size() + step.executed.size());
  if (count_ < step.policy_step || size() + most > kMaxBytes) return false;
  if (!first_) first_ = step.time;
  if (count_ > 0) {
    for (std::string* column :
         {&source_, &weights_, &seconds_, &proposed_, &executed_, &clamped_}) {
      *column += ',';
    }
  }
  newest_ = step.time;
  source_.append("\"").append(to_string(step.source)).append("\"");
  put_number(weights_, step.weights);
  put_number(seconds_, rounded(seconds(step.time - *first_)));
  put_rates(proposed_, step.proposed);
  put_rates(executed_, step.executed);
  clamped_ += (step.flags & kStepClamped) != 0 ? "true" : "false";
  ++count_;
  return true;
}

// Entries for steps that are not there.
void StepColumns::miss(std::uint32_t until) {
  for (; count_ < until && size() + 64 <= kMaxBytes; ++count_) {
    const char* comma = source_.empty() ? "" : ",";
    source_.append(comma).append("\"lost\"");
    weights_.append(comma).append("0");
    for (std::string* column : {&seconds_, &proposed_, &executed_}) {
      column->append(comma).append("null");
    }
    clamped_.append(comma).append("false");
  }
}

std::size_t StepColumns::size() const {
  return source_.size() + weights_.size() + seconds_.size() + proposed_.size() + executed_.size() +
         clamped_.size();
}

std::string StepColumns::text() const {
  std::string out;
  out.reserve(size() + 128);
  out.append("{\"source\":[").append(source_);
  out.append("],\"weights\":[").append(weights_);
  out.append("],\"seconds\":[").append(seconds_);
  out.append("],\"proposed\":[").append(proposed_);
  out.append("],\"executed\":[").append(executed_);
  out.append("],\"clamped\":[").append(clamped_).append("]}");
  return out;
}

std::string encode_episode(const EpisodeRecord& record, const EpisodeSteps& steps,
                           Duration policy_period) {
  const std::uint32_t count = steps.columns.count();
  Json cameras = Json::array();
  for (const CameraSpec& camera : steps.cameras) {
    cameras.push_back({{"name", camera.name}, {"width", camera.width}, {"height", camera.height}});
  }
  Json discarded = Json::array();
  for (const StepRange& range : record.discarded) {
    discarded.push_back({{"first_step", range.first_step}, {"last_step", range.last_step}});
  }
  Json lost = Json::array();
  for (const StepsLost& gap : record.lost) {
    lost.push_back({{"first_step", gap.first_step}, {"count", gap.count}});
  }
  const auto started =
      std::chrono::duration_cast<std::chrono::milliseconds>(record.started.time_since_epoch());
  const Json head = {
      {"id", record.episode},
      {"purpose", to_string(record.purpose)},
      {"outcome", to_string(record.said.value())},
      {"instruction", record.instruction},
      {"steps", record.ended ? record.ended->steps : count},
      {"seconds", rounded(std::max(seconds(record.length), seconds(steps.columns.length())))},
      {"policy_period_ms", rounded(1e3 * seconds(policy_period))},
      {"started_ms", started.count()},
      {"ended", record.over},
      {"recorded", steps.recorded},
      {"damaged", steps.damaged},
      {"truncated", steps.truncated},
      {"spans", spans_json(record, count)},
      {"discarded", std::move(discarded)},
      {"lost", std::move(lost)},
      {"cameras", std::move(cameras)}};
  std::string text = head.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.back() = ',';
  text += "\"events\":[";
  for (std::size_t i = 0; i < record.events.size(); ++i) {
    if (i > 0) text += ',';
    text += encode_event(record.events[i]);
  }
  return text + "],\"step\":" + steps.columns.text() + "}";
}

}  // namespace nudge
