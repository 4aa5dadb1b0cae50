#include "src/ports/episode_index.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "src/ports/supervisor_wire.h"

namespace nudge {
namespace {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;  // Clang 14 cannot work this out by itself

// Of the texts that may be long; what remains is within sizeof(Event).
std::size_t text_bytes(const Payload& payload) {
  return std::visit(
      Overloaded{[](const EpisodeStarted& e) { return e.instruction.size(); },
                 [](const Words& e) { return e.text.size() + e.understood_as.size(); },
                 [](const InstructionChanged& e) { return e.instruction.size(); },
                 [](const WeightsAccepted& e) { return e.report.size(); },
                 [](const WeightsRejected& e) { return e.detail.size(); },
                 [](const Fault& e) { return e.detail.size(); },
                 [](const auto&) { return std::size_t{0}; }},
      payload);
}

std::size_t bytes_of(const Event& event) {
  return sizeof(Event) + event.id.size() + event.boot.size() + event.actor.name.size() +
         text_bytes(event.payload);
}

// The newest kMaxEntries.
template <typename T>
void keep(std::vector<T>& list, T entry) {
  if (list.size() >= EpisodeRecord::kMaxEntries) list.erase(list.begin());
  list.push_back(std::move(entry));
}

SpanRecord* find_in(std::vector<SpanRecord>& spans, SpanId span) {
  const auto at = std::find_if(spans.begin(), spans.end(),
                               [&](const SpanRecord& record) { return record.span == span; });
  return at == spans.end() ? nullptr : &*at;
}

}  // namespace

void EpisodeIndex::apply(const FeedItem& item) {
  std::visit([this](const auto& one) { apply(one); }, item);
}

void EpisodeIndex::apply(const Event& event) {
  if (const auto* started = std::get_if<EpisodeStarted>(&event.payload)) start(event, *started);
  // Time passes for the episode that runs, whatever the event is about.
  if (Kept* running = kept(event.episode)) look_at_time(*running, event);
  Kept* const about = kept(subject(event));
  if (about == nullptr) return;
  EpisodeRecord& record = about->record;
  std::visit(Overloaded{[&](const EpisodeEnded& ended) {
                          if (!record.ended) record.ended = ended;
                          record.over = true;
                        },
                        [&](const SpanOpened& opened) {
                          if (spans_.contains(opened.span)) return;
                          SpanRecord span;
                          span.span = opened.span;
                          span.kind = opened.kind;
                          span.actor = event.actor;
                          span.first_step = opened.first_step;
                          span.opened = event.time;
                          if (record.spans.size() >= EpisodeRecord::kMaxEntries) {
                            spans_.erase(record.spans.front().span);
                            record.spans.erase(record.spans.begin());
                          }
                          record.spans.push_back(std::move(span));
                          spans_.emplace(opened.span, record.episode);
                          charge(*about, sizeof(SpanRecord) + 64);
                        },
                        [&](const SpanClosed& closed) {
                          SpanRecord* span = find_in(record.spans, closed.span);
                          if (span != nullptr && !span->closed) span->closed = closed;
                        },
                        [&](const SpanSplit& split) {
                          if (SpanRecord* span = find_in(record.spans, split.span)) {
                            span->correction_from = split.correction_from;
                          }
                        },
                        [&](const Label& label) {
                          if (event.actor.role > Role::kEngineer) return;
                          if (label.span == 0) {
                            record.said.add(event.actor.role, label.value);
                          } else if (SpanRecord* span = find_in(record.spans, label.span)) {
                            span->said.add(event.actor.role, label.value);
                          }
                        },
                        [&](const StepsDiscarded& undo) {
                          if (undo.last_step < undo.first_step) return;
                          keep(record.discarded, {undo.first_step, undo.last_step});
                          charge(*about, sizeof(StepRange));
                        },
                        [&](const StepsLost& lost) {
                          keep(record.lost, lost);
                          charge(*about, sizeof(StepsLost));
                        },
                        [](const auto&) {}},
             event.payload);
  if (!is_shown(event)) return;
  record.events.push_back(event);
  charge(*about, bytes_of(event));
  if (record.events.size() > EpisodeRecord::kMaxEvents) {
    const std::size_t less = bytes_of(record.events.front());
    record.events.pop_front();
    about->bytes -= less;
    bytes_ -= less;
  }
  drop_oldest();
}

void EpisodeIndex::apply(const StepsRef& steps) {
  Kept* const about = kept(steps.episode);
  if (about == nullptr) return;
  if (about->record.path.empty()) {
    about->record.path = steps.path;
    charge(*about, steps.path.size());
  }
  about->record.end_offset = std::max(about->record.end_offset, steps.end_offset);
}

const EpisodeRecord* EpisodeIndex::find(EpisodeId episode) const {
  const auto at = episodes_.find(episode);
  return at == episodes_.end() ? nullptr : &at->second.record;
}

const SpanRecord* EpisodeIndex::find_span(SpanId span, EpisodeId* episode) const {
  const auto at = spans_.find(span);
  if (at == spans_.end()) return nullptr;
  const auto& spans = episodes_.at(at->second).record.spans;
  if (episode != nullptr) *episode = at->second;
  return &*std::find_if(spans.begin(), spans.end(),
                        [&](const SpanRecord& record) { return record.span == span; });
}

EpisodeIndex::Kept* EpisodeIndex::kept(EpisodeId episode) {
  const auto at = episodes_.find(episode);
  return at == episodes_.end() ? nullptr : &at->second;
}

EpisodeId EpisodeIndex::subject(const Event& event) const {
  const auto of_span = [this](SpanId span) {
    const auto at = spans_.find(span);
    return at == spans_.end() ? EpisodeId{0} : at->second;
  };
  return std::visit(Overloaded{[](const Label& label) { return label.episode; },
                               [](const StepsDiscarded& undo) { return undo.episode; },
                               [&](const SpanSplit& split) { return of_span(split.span); },
                               [&](const SpanClosed& closed) { return of_span(closed.span); },
                               [&](const auto&) { return event.episode; }},
                    event.payload);
}

void EpisodeIndex::start(const Event& event, const EpisodeStarted& started) {
  if (event.episode == 0 || (!episodes_.empty() && episodes_.rbegin()->first >= event.episode)) {
    return;  // began already
  }
  if (!episodes_.empty()) episodes_.rbegin()->second.record.over = true;
  Kept& made = episodes_[event.episode];
  made.record.episode = event.episode;
  made.record.purpose = started.purpose;
  made.record.instruction = started.instruction;
  made.record.started = event.wall_time;
  made.started = made.newest = event.time;
  made.boot = event.boot;
  charge(made, sizeof(Kept) + started.instruction.size());
}

// Times of two boots cannot be compared: what a later boot closes has ended with the newest event
// of its own.
void EpisodeIndex::look_at_time(Kept& kept, const Event& event) {
  if (kept.record.over || kept.boot != event.boot) return;
  kept.newest = std::max(kept.newest, event.time);
  kept.record.length = kept.newest - kept.started;
  for (auto span = kept.record.spans.rbegin(); span != kept.record.spans.rend(); ++span) {
    if (span->closed) break;  // one is open at a time
    span->length = kept.newest - span->opened;
  }
}

void EpisodeIndex::charge(Kept& kept, std::size_t bytes) {
  kept.bytes += bytes;
  bytes_ += bytes;
}

void EpisodeIndex::drop_oldest() {
  while (episodes_.size() > 1 && (episodes_.size() > kMaxEpisodes || bytes_ > kMaxBytes)) {
    const auto oldest = episodes_.begin();
    for (const SpanRecord& span : oldest->second.record.spans) spans_.erase(span.span);
    bytes_ -= oldest->second.bytes;
    episodes_.erase(oldest);
  }
}

}  // namespace nudge
