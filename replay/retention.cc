#include "replay/retention.h"

#include <iterator>

#include "nudge/hold_out.h"

namespace nudge {
namespace {
constexpr std::size_t kBatch = 10'000;  // events that are read at a time
}  // namespace

const char* words_for(EpisodeWorth worth) {
  switch (worth) {
    case EpisodeWorth::kPlainSuccess: return "the policy alone, and it worked";
    case EpisodeWorth::kUnjudged: return "the policy alone, not to be learned from";
    case EpisodeWorth::kPlainFailure: return "the policy alone, and it failed";
    case EpisodeWorth::kNudged: return "with words";
    case EpisodeWorth::kCorrected: return "with a correction";
  }
  return "";
}

Retention::Retention(std::uint64_t budget, std::size_t newest_kept)
    : budget_(budget), newest_kept_(newest_kept) {}

Status Retention::follow(Log& log) {
  static const std::vector<std::string> kKinds = {
      "episode_started", "episode_ended", "span_opened", "span_closed", "label", "episode_evicted"};
  while (budget_ > 0 && folded_ < log.durable()) {
    const Sequence end = log.durable();
    const auto events = log.events(kKinds, folded_ + 1, kBatch);
    if (!events.ok()) return events.status();
    for (const Event& event : *events) {
      if (std::holds_alternative<EpisodeEnded>(event.payload)) {
        const auto bytes = log.segment_bytes(event.episode);
        if (!bytes.ok() && bytes.status().code() != Code::kNotFound) return bytes.status();
        apply(event);
        set_bytes(event.episode, bytes.ok() ? *bytes : 0);
      } else {
        apply(event);
      }
      folded_ = event.sequence;
    }
    if (events->size() < kBatch) folded_ = end;
  }
  return {};
}

EpisodeWorth Retention::worth_of(const Episode& episode) {
  if (episode.driven) return EpisodeWorth::kCorrected;
  if (episode.nudged) return EpisodeWorth::kNudged;
  if (episode.purpose != EpisodePurpose::kDeployment) return EpisodeWorth::kUnjudged;
  switch (episode.outcome.value()) {
    case LabelValue::kSuccess: return EpisodeWorth::kPlainSuccess;
    case LabelValue::kFailure: return EpisodeWorth::kPlainFailure;
    case LabelValue::kNone:
    case LabelValue::kDiscard: break;
  }
  return EpisodeWorth::kUnjudged;
}

void Retention::place(EpisodeId id, Episode& episode) {
  waiting_.erase({episode.worth, id});
  episode.worth = worth_of(episode);
  const bool precious = episode.purpose == EpisodePurpose::kDemonstration || episode.held_out;
  if (episode.ended && !precious) waiting_.emplace(episode.worth, id);
}

Retention::Episode* Retention::there(EpisodeId id) {
  return evicted_.contains(id) ? nullptr : &episodes_[id];
}

void Retention::apply(const Event& event) {
  if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) {
    Episode* episode = there(event.episode);
    if (episode == nullptr) return;
    episode->purpose = started->purpose;
    place(event.episode, *episode);
  } else if (std::holds_alternative<EpisodeEnded>(event.payload)) {
    Episode* episode = there(event.episode);
    if (episode == nullptr) return;
    episode->ended = true;
    ended_.insert(event.episode);
    place(event.episode, *episode);
  } else if (const auto* opened = std::get_if<SpanOpened>(&event.payload)) {
    spans_[opened->span] = {event.episode, opened->kind, opened->first_step};
    Episode* episode = there(event.episode);
    if (episode == nullptr) return;
    // Whatever becomes of the span: what a person did is not thrown away before what nobody did.
    (opened->kind == SpanKind::kTakeover ? episode->driven : episode->nudged) = true;
    place(event.episode, *episode);
  } else if (const auto* closed = std::get_if<SpanClosed>(&event.payload)) {
    const auto found = spans_.find(closed->span);
    if (found == spans_.end()) return;
    const OpenSpan span = found->second;
    spans_.erase(found);
    Episode* episode = there(span.episode);
    // The rule of nudge/hold_out.h, as the dataset and the planner have it.
    if (episode != nullptr && span.kind == SpanKind::kTakeover && closed->complete &&
        closed->last_step >= span.first_step && episode->purpose == EpisodePurpose::kDeployment &&
        numbered_.insert(span.episode)) {
      episode->held_out = is_held_out(numbered_.size());
      place(span.episode, *episode);
    }
  } else if (const auto* label = std::get_if<Label>(&event.payload)) {
    if (label->span != 0 || label->episode == 0) return;
    Episode* episode = there(label->episode);
    if (episode == nullptr) return;
    episode->outcome.add(event.actor.role, label->value);
    place(label->episode, *episode);
  } else if (const auto* evicted = std::get_if<EpisodeEvicted>(&event.payload)) {
    const auto gone = episodes_.find(evicted->episode);
    if (gone != episodes_.end()) {
      bytes_ -= gone->second.bytes;
      waiting_.erase({gone->second.worth, gone->first});
      ended_.erase(gone->first);
      episodes_.erase(gone);
    }
    evicted_.insert(evicted->episode);
  }
}

void Retention::set_bytes(EpisodeId id, std::uint64_t bytes) {
  Episode* episode = there(id);
  if (episode == nullptr) return;
  bytes_ += bytes - episode->bytes;
  episode->bytes = bytes;
}

std::optional<Victim> Retention::next() const {
  if (!over_budget()) return std::nullopt;
  // Those from here on are kept: the newest that have ended.
  if (ended_.size() <= newest_kept_) return std::nullopt;
  const EpisodeId first_kept =
      newest_kept_ == 0 ? *ended_.rbegin() + 1
                        : *std::prev(ended_.end(), static_cast<std::ptrdiff_t>(newest_kept_));
  for (const auto& [worth, id] : waiting_) {
    const Episode& episode = episodes_.at(id);
    // One without a file frees nothing.
    if (id < first_kept && episode.bytes > 0) return Victim{id, worth, episode.bytes};
  }
  return std::nullopt;
}

}  // namespace nudge
