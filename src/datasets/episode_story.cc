#include "src/datasets/episode_story.h"

#include <algorithm>
#include <span>
#include <sstream>

#include "policy/weights.h"
#include "replay/person.h"

namespace nudge {
namespace {

constexpr std::size_t kPage = 10'000;  // events read at a time

template <typename... Cases>
struct Visitor : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Visitor(Cases...) -> Visitor<Cases...>;  // Clang 14 does not find it by itself

}  // namespace

Result<std::map<EpisodeId, EpisodeStory>> episode_stories(Log& log) {
  std::map<EpisodeId, EpisodeStory> stories;
  // Where words are, and which spans they bent.
  std::map<std::string, std::pair<EpisodeId, std::size_t>> words;
  std::map<std::string, SpanId> bent;
  const std::vector<std::string> kinds = {"episode_started", "instruction_changed",
                                          "words",           "words_acted",
                                          "words_undone",    "steps_discarded"};
  for (Sequence from = 1;;) {
    const Result<std::vector<Event>> events = log.events(kinds, from, kPage);
    if (!events.ok()) return events.status();
    if (events->empty()) return stories;
    from = events->back().sequence + 1;
    for (const Event& event : *events) {
      EpisodeStory* story = nullptr;
      if (const auto found = stories.find(event.episode); found != stories.end()) {
        story = &found->second;
      }
      std::visit(Visitor{
                     [&](const EpisodeStarted& started) {
                       EpisodeStory& made = stories[event.episode];
                       made.episode = event.episode;
                       made.event = event.id;
                       made.instructions.emplace_back(0, started.instruction);
                     },
                     [&](const InstructionChanged& changed) {
                       if (story != nullptr) {
                         story->instructions.emplace_back(event.policy_step, changed.instruction);
                       }
                     },
                     [&](const Words& said) {
                       if (story == nullptr) return;
                       words[event.id] = {event.episode, story->words.size()};
                       story->words.push_back({.step = event.policy_step,
                                               .text = said.text,
                                               .use = said.use,
                                               .by = std::string(person_of(event.actor.name)),
                                               .undone = false});
                     },
                     [&](const WordsActed& acted) { bent[acted.words] = acted.span; },
                     [&](const WordsUndone& undone) {
                       const auto found = words.find(undone.words);
                       if (found == words.end()) return;
                       EpisodeStory& meant = stories[found->second.first];
                       meant.words[found->second.second].undone = true;
                       if (const auto span = bent.find(undone.words); span != bent.end()) {
                         meant.undone_spans.push_back(span->second);
                       }
                     },
                     [&](const StepsDiscarded& discarded) {
                       if (const auto found = stories.find(discarded.episode);
                           found != stories.end()) {
                         found->second.discarded.push_back(discarded);
                       }
                     },
                     [](const auto&) {},
                 },
                 event.payload);
    }
  }
}

EpisodeMarks::EpisodeMarks(const EpisodeStory& story, LabelValue outcome,
                           std::vector<SpanSummary> spans)
    : story_(story), outcome_(outcome), spans_(std::move(spans)) {}

StepMarks EpisodeMarks::of(std::uint32_t policy_step, ControlSource source, SpanId span) const {
  StepMarks marks;
  marks.label = outcome_;
  for (const StepsDiscarded& d : story_.discarded) {
    if (policy_step >= d.first_step && policy_step <= d.last_step) marks.discarded = true;
  }
  if (span == 0) return marks;
  const auto found = std::find_if(spans_.begin(), spans_.end(),
                                  [&](const SpanSummary& s) { return s.span == span; });
  if (found == spans_.end()) return marks;
  const bool driven = source == ControlSource::kHuman || source == ControlSource::kScript;
  marks.intervention = driven || source == ControlSource::kNudge;
  if (source == ControlSource::kNudge) marks.segment = StepMarks::kNudged;
  if (driven) {
    const bool recovery = found->correction_from && policy_step < *found->correction_from;
    marks.segment = recovery ? StepMarks::kRecovery : StepMarks::kCorrection;
  }
  if (found->outcome != LabelValue::kNone) marks.label = found->outcome;
  const bool stale = found->closed && policy_step > found->closed->last_step;
  marks.discarded = marks.discarded || stale || found->outcome == LabelValue::kFailure ||
                    found->outcome == LabelValue::kDiscard ||
                    std::count(story_.undone_spans.begin(), story_.undone_spans.end(), span) > 0;
  return marks;
}

const std::string& EpisodeMarks::instruction(std::uint32_t policy_step) const {
  const std::string* in_force = &story_.instructions.front().second;
  for (const auto& [step, instruction] : story_.instructions) {
    if (step <= policy_step) in_force = &instruction;
  }
  return *in_force;
}

std::vector<std::string> EpisodeMarks::people() const {
  std::vector<std::string> names;
  for (const SpanSummary& span : spans_) {
    std::string name(person_of(span.actor.name));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

std::string EpisodeMarks::judged() const {
  std::ostringstream text;
  text << static_cast<int>(outcome_) << '\n';
  for (const SpanSummary& span : spans_) {
    text << span.span << ' ' << static_cast<int>(span.outcome) << ' '
         << span.correction_from.value_or(0) << '\n';
  }
  for (const StepsDiscarded& d : story_.discarded)
    text << d.first_step << '-' << d.last_step << '\n';
  for (const SpanId span : story_.undone_spans) text << "undone " << span << '\n';
  const std::string bytes = text.str();
  return to_hex(sha256(std::as_bytes(std::span(bytes.data(), bytes.size())))).substr(0, 16);
}

}  // namespace nudge
