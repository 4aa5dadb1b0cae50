#include "src/ports/history.h"

#include <algorithm>
#include <utility>

#include "src/core/statistics.h"

namespace nudge {
namespace {

// FNV-1a, then the finisher of splitmix64, without which similar ids share their upper bits.
std::uint64_t hash_of(std::string_view id) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : id) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

// What the daemon does by itself: rules, timers, the learner's rollout.
bool by_daemon(const Actor& actor) {
  return actor.role == Role::kScript && (actor.name == "nudge" || actor.name == "authority");
}

// Cut between two characters.
std::string shortened(const std::string& text) {
  if (text.size() <= kMaxRowInstruction) return text;
  std::size_t end = kMaxRowInstruction;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80) --end;
  return text.substr(0, end);
}

template <typename Row, typename Key>
Row* find_by(std::deque<Row>& rows, Key Row::*key, Key wanted) {
  const auto at = std::lower_bound(rows.begin(), rows.end(), wanted,
                                   [&](const Row& row, Key k) { return row.*key < k; });
  return at != rows.end() && (*at).*key == wanted ? &*at : nullptr;
}

}  // namespace

void History::apply(const Event& event) {
  remember(event);
  look_at_time(event);
  phrases_.apply(event);
  teachers_.apply(event);

  if (std::holds_alternative<Booted>(event.payload)) {
    // The log closes what a crash left open before a boot is written; what is open still is damage.
    while (!open_.empty()) end(open_.begin()->first);
    spans_.clear();
    state_ = AuthorityState::kHold;
  } else if (const auto* change = std::get_if<AuthorityChanged>(&event.payload)) {
    look_at_authority(event, *change);
  } else if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) {
    start(event, *started);
  } else if (const auto* ended = std::get_if<EpisodeEnded>(&event.payload)) {
    if (EpisodeRow* row = find(event.episode); row != nullptr && !row->ended) {
      row->steps = ended->steps;
      row->weights = event.weights;
      end(event.episode);
    }
  } else if (const auto* opened = std::get_if<SpanOpened>(&event.payload)) {
    EpisodeRow* row = find(event.episode);
    if (row == nullptr || opened->kind != SpanKind::kTakeover) return;
    ++row->takeovers;
    if (spans_.size() >= kOpen) spans_.erase(spans_.begin());
    spans_[opened->span] = {event.episode, opened->first_step, event.time, event.time, event.boot};
  } else if (const auto* closed = std::get_if<SpanClosed>(&event.payload)) {
    close(*closed);
  } else if (const auto* label = std::get_if<Label>(&event.payload)) {
    if (label->span != 0 || event.actor.role > Role::kEngineer) return;
    if (EpisodeRow* row = find(label->episode)) row->said.add(event.actor.role, label->value);
  } else if (const auto* accepted = std::get_if<WeightsAccepted>(&event.payload)) {
    accept(event, *accepted);
  } else if (const auto* live = std::get_if<WeightsLive>(&event.payload)) {
    live_ = live->version;
    if (WeightsRow* row = find_weights(live_)) row->was_live = true;
  } else if (const auto* confirmed = std::get_if<WeightsConfirmed>(&event.payload)) {
    confirmed_ = confirmed->version;
    if (WeightsRow* row = find_weights(confirmed_)) row->state = WeightsRow::State::kConfirmed;
  } else if (const auto* promoted = std::get_if<WeightsPromoted>(&event.payload)) {
    // As in policy/weights_history: going back to an older version discards the newer ones.
    confirmed_ = promoted->version;
    take_back_above(confirmed_, "promoted_over");
    if (WeightsRow* row = find_weights(confirmed_)) row->state = WeightsRow::State::kConfirmed;
  } else if (const auto* back = std::get_if<WeightsRolledBack>(&event.payload)) {
    take_back_above(back->to, back->reason);
    confirmed_ = std::min(confirmed_, back->to);
    live_ = back->to;
  }
}

bool History::knows(std::string_view id) const { return known_.contains(hash_of(id)); }

SuccessRate History::recent_success(std::size_t window) const {
  std::uint32_t of = 0, successes = 0;
  std::size_t seen = 0;
  for (auto row = episodes_.rbegin(); row != episodes_.rend() && seen < window; ++row) {
    if (!row->ended || row->purpose != EpisodePurpose::kDeployment) continue;
    ++seen;
    const LabelValue outcome = row->outcome();
    successes += outcome == LabelValue::kSuccess ? 1 : 0;
    of += outcome == LabelValue::kSuccess || outcome == LabelValue::kFailure ? 1 : 0;
  }
  const Interval interval = wilson_interval(successes, of);
  return {.of = of, .successes = successes, .low = interval.low, .high = interval.high};
}

EpisodeRow* History::find(EpisodeId episode) {
  return find_by(episodes_, &EpisodeRow::episode, episode);
}

WeightsRow* History::find_weights(WeightsVersion version) {
  return find_by(weights_, &WeightsRow::version, version);
}

void History::remember(const Event& event) {
  if (event.id.empty() || by_daemon(event.actor)) return;
  (void)known_.insert(hash_of(event.id));
}

// Times of two boots cannot be compared: an episode that a later boot closes has ended with the
// newest event of its own.
void History::look_at_time(const Event& event) {
  if (const auto at = open_.find(event.episode); at != open_.end()) {
    OpenEpisode& open = at->second;
    if (open.boot == event.boot) open.newest = std::max(open.newest, event.time);
    if (EpisodeRow* row = find(event.episode)) {
      row->length = open.newest - open.started;
      row->steps = std::max(row->steps, event.policy_step);
      row->weights = event.weights;
    }
  }
  for (auto& [id, span] : spans_) {
    if (span.episode == event.episode && span.boot == event.boot) {
      span.newest = std::max(span.newest, event.time);
    }
  }
}

void History::look_at_authority(const Event& event, const AuthorityChanged& change) {
  state_ = change.to;
  const auto at = open_.find(event.episode);
  if (at == open_.end() || at->second.boot != event.boot) return;
  std::optional<Instant>& driven = at->second.driven;
  if (change.to == AuthorityState::kAuto && !driven) driven = event.time;
  EpisodeRow* row = find(event.episode);
  if (row != nullptr && driven && !row->takeover_after && change.from == AuthorityState::kAuto &&
      change.to == AuthorityState::kTakeover) {
    row->takeover_after = event.time - *driven;
  }
}

void History::start(const Event& event, const EpisodeStarted& started) {
  if (started.purpose == EpisodePurpose::kEvaluation || event.episode == 0) return;
  if (!episodes_.empty() && episodes_.back().episode >= event.episode) return;  // began already
  if (open_.size() >= kOpen) end(open_.begin()->first);
  EpisodeRow row;
  row.episode = event.episode;
  row.purpose = started.purpose;
  row.weights = event.weights;
  row.started = event.wall_time;
  row.instruction = shortened(started.instruction);
  episodes_.push_back(std::move(row));
  OpenEpisode& open = open_[event.episode];
  open = {event.time, event.time, event.boot, std::nullopt};
  if (state_ == AuthorityState::kAuto) open.driven = event.time;
  if (episodes_.size() > kEpisodes) {
    open_.erase(episodes_.front().episode);
    episodes_.pop_front();
  }
}

void History::end(EpisodeId episode) {
  open_.erase(episode);
  if (EpisodeRow* row = find(episode)) {
    row->ended = true;
    total_episodes_ += row->purpose == EpisodePurpose::kDeployment ? 1 : 0;
  }
}

void History::close(const SpanClosed& closed) {
  const auto at = spans_.find(closed.span);
  if (at == spans_.end()) return;
  const OpenSpan& span = at->second;
  if (EpisodeRow* row = find(span.episode)) {
    row->human += span.newest - span.opened;
    if (closed.last_step >= span.first_step) {
      row->human_steps += closed.last_step - span.first_step + 1;
    }
  }
  spans_.erase(at);
}

void History::accept(const Event& event, const WeightsAccepted& accepted) {
  if (!weights_.empty() && weights_.back().version >= accepted.version) return;
  WeightsRow row;
  row.version = accepted.version;
  row.parent = accepted.parent;
  row.kind = accepted.kind;
  row.accepted = event.wall_time;
  if (accepted.report.size() <= kMaxGateReport) row.gate = accepted.report;
  weights_.push_back(std::move(row));
  if (weights_.size() > kVersions) {
    // What runs and what would be booted stay in the list, however old.
    const auto oldest = std::find_if(weights_.begin(), weights_.end(), [&](const WeightsRow& r) {
      return r.version != live_ && r.version != confirmed_;
    });
    weights_.erase(oldest);
  }
}

void History::take_back_above(WeightsVersion version, std::string_view reason) {
  for (auto row = weights_.rbegin(); row != weights_.rend() && row->version > version; ++row) {
    if (row->state == WeightsRow::State::kRolledBack) continue;
    row->state = WeightsRow::State::kRolledBack;
    row->reason = reason;
  }
}

}  // namespace nudge
