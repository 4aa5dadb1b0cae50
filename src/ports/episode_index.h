// What is known of each episode besides its steps: who drove when, what was said of it, and where
// its steps lie on disk. A fold over durable events and references to steps, of which it keeps the
// newest episodes; a reader of segments (episode_reader.h) adds the steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nudge/event.h"
#include "replay/feed.h"
#include "replay/outcome.h"

namespace nudge {

struct SpanRecord {
  SpanId span = 0;
  SpanKind kind = SpanKind::kTakeover;
  Actor actor;  // who had the lease
  std::uint32_t first_step = 0;
  std::optional<SpanClosed> closed;
  std::optional<std::uint32_t> correction_from;  // newest split
  Outcome said;                                  // of the span
  Instant opened;                                // robot's steady clock, of the episode's boot
  Duration length{};                             // up to its end, or the newest event
};

// Policy steps, both included.
struct StepRange {
  std::uint32_t first_step = 0, last_step = 0;
};

struct EpisodeRecord {
  EpisodeId episode = 0;
  EpisodePurpose purpose = EpisodePurpose::kDeployment;
  std::string instruction;  // at its start
  WallTime started;
  std::optional<EpisodeEnded> ended;
  bool over = false;  // has ended, or another one has begun
  Outcome said;       // of the whole episode
  Duration length{};  // by the events' steady clock; up to the newest of the boot it ran in
  std::vector<SpanRecord> spans;     // in order
  std::vector<StepRange> discarded;  // "undo the last N seconds", in the order of the acts
  std::vector<StepsLost> lost;       // in order
  std::deque<Event> events;          // that people may want to see, the newest kMaxEvents, in order
  std::string path;                  // of the segment; empty: no step is on disk yet
  std::uint64_t end_offset = 0;      // of what is on disk in it

  static constexpr std::size_t kMaxEvents = 500;
  static constexpr std::size_t kMaxEntries = 2000;  // of spans, undos, gaps: the newest
};

// Not thread-safe: belongs to the io thread. Equal logs give equal indexes, in one go or in
// portions. A label, a split or an undo belongs to the episode that it is about, any other event to
// the one that ran.
class EpisodeIndex {
 public:
  void apply(const FeedItem& item);
  void apply(const Event& event);
  void apply(const StepsRef& steps);  // may come later than the events that follow them

  // None: it never began, or it is not kept any more. Valid until the next apply().
  const EpisodeRecord* find(EpisodeId episode) const;
  const SpanRecord* find_span(SpanId span, EpisodeId* episode = nullptr) const;

  std::size_t size() const { return episodes_.size(); }
  std::size_t bytes() const { return bytes_; }  // about, of what all of them hold

  // Beyond either the oldest go, but never the newest one.
  static constexpr std::size_t kMaxEpisodes = 1000;
  static constexpr std::size_t kMaxBytes = 32u << 20;

 private:
  struct Kept {
    EpisodeRecord record;
    Instant started, newest;
    std::string boot;  // whose clock these are
    std::size_t bytes = 0;
  };
  Kept* kept(EpisodeId episode);
  Kept* kept_of_span(SpanId span);
  EpisodeId subject(const Event& event) const;
  void start(const Event& event, const EpisodeStarted& started);
  void look_at_time(Kept& kept, const Event& event);
  void charge(Kept& kept, std::size_t bytes);
  void drop_oldest();

  std::map<EpisodeId, Kept> episodes_;
  std::map<SpanId, EpisodeId> spans_;
  std::size_t bytes_ = 0;
};

}  // namespace nudge
