// What a log says about its episodes besides their steps, folded from its events: who said what,
// what was corrected, what was taken back. From it come the columns of a data set that steps alone
// do not have.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nudge/event.h"
#include "nudge/status.h"
#include "replay/log.h"

namespace nudge {

struct Utterance {
  std::uint32_t step = 0;
  std::string text;
  WordsUse use = WordsUse::kComment;
  std::string by;       // the person
  bool undone = false;  // taken back later
};

struct EpisodeStory {
  EpisodeId episode = 0;
  std::string event;  // id of its episode_started
  // Instructions in force from a step on, the first from step 0; ascending.
  std::vector<std::pair<std::uint32_t, std::string>> instructions;
  std::vector<Utterance> words;
  std::vector<StepsDiscarded> discarded;
  std::vector<SpanId> undone_spans;  // bent by words that were taken back
};

// Every episode of the log, by number. Memory is of the order of the events, never of the steps.
Result<std::map<EpisodeId, EpisodeStory>> episode_stories(Log& log);

// What a row of a data set says about one step.
struct StepMarks {
  enum Segment : std::int64_t { kAuto = 0, kRecovery = 1, kCorrection = 2, kNudged = 3 };
  Segment segment = kAuto;
  bool intervention = false;             // a person drove, or bent the policy with words
  LabelValue label = LabelValue::kNone;  // of its span, else of the episode
  bool discarded = false;  // people took it back: undone, or its span failed or was discarded
};

// Answers for each step of one episode. A value.
class EpisodeMarks {
 public:
  EpisodeMarks(const EpisodeStory& story, LabelValue outcome, std::vector<SpanSummary> spans);

  // `source` and `span` as in Step.
  StepMarks of(std::uint32_t policy_step, ControlSource source, SpanId span) const;
  const std::string& instruction(std::uint32_t policy_step) const;
  std::vector<std::string> people() const;  // who opened its spans, each once
  // A hash of everything that people said about it: it changes when they say more.
  std::string judged() const;

 private:
  EpisodeStory story_;
  LabelValue outcome_;
  std::vector<SpanSummary> spans_;
};

}  // namespace nudge
