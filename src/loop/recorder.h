// Turns what the loop does into log entries: numbers spans, makes ids, counts what was lost.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nudge/event.h"
#include "replay/log.h"
#include "replay/retention.h"
#include "src/loop/controller.h"

namespace nudge {

// Where and when something happened, for the envelope of its event.
struct Moment {
  Instant now;  // robot's steady clock
  WallTime wall;
  ControlTick control_tick = 0;
  std::uint32_t policy_step = 0;
  WeightsVersion weights = 0;  // live
};

// Belongs to the thread that owns the log. Nothing here waits for the disk except commit() and
// begin_episode(). Errors are the log's; a step that the log cannot take is counted and reported by
// a StepsLost event as soon as the log takes entries again.
class Recorder {
 public:
  // `log` must outlive the recorder. `boot` is the boot's id; `self` acts for the daemon.
  Recorder(Log& log, std::string boot, Actor self);

  Result<EpisodeId> begin_episode(const EpisodeStarted& started, const SegmentSpec& segment,
                                  const Moment& moment);
  // Closes an open span, then the episode. `steps`: policy steps taken.
  Status end_episode(EpisodeEnd reason, std::uint32_t steps, const Moment& moment);

  // What one control tick brought, in the order of the log: the step that ended, the span, the
  // authority's records. `features` and `images` belong to the step that ended, `driver` is who
  // holds the lease.
  Status on_tick(const TickOutcome& outcome, std::vector<float> features, std::vector<Image> images,
                 const Actor& driver, const Moment& moment);

  // Steps of the running episode were lost on their way here: said in the log as soon as it takes
  // entries, and an open span is incomplete.
  void steps_lost(std::uint32_t first_step, std::uint32_t count, bool human);

  // A step from elsewhere (a demonstration). Its span is taken as it is.
  Status append(Step step);
  // An event by the daemon itself, or by `actor`. An empty id is made up.
  Status append(Payload payload, const Moment& moment);
  Status append(Payload payload, const Moment& moment, const Actor& actor, std::string id);

  Status commit();
  // Evicts at most `most` episodes, one after the other, until the steps are within their budget.
  // What was appended is committed with it. On an error: the same again later.
  Result<std::vector<Victim>> make_room(Retention& retention, const Moment& moment,
                                        std::size_t most);

  SpanId open_span() const { return span_ ? span_->id : 0; }
  // The newest span of this boot, open or not; 0: none.
  SpanId newest_span() const { return newest_span_; }
  // True once after a takeover span was closed and appended; a reason to commit and to learn.
  bool take_span_closed() { return std::exchange(span_closed_, false); }
  const std::string& boot() const { return boot_; }
  EpisodeId episode() const { return episode_; }

 private:
  struct OpenSpan {
    SpanId id = 0;
    SpanKind kind = SpanKind::kTakeover;
    std::string words;  // kNudge: id of those behind it
    std::uint32_t first_step = 0;
    std::uint32_t last_fresh_step = 0;
    std::uint32_t last_step = 0;
    bool complete = true;
    Actor driver;
  };
  struct Lost {
    std::uint32_t first_step = 0;
    std::uint32_t count = 0;
    bool human = false;
  };
  Event envelope(Payload payload, const Moment& moment, const Actor& actor, std::string id);
  Status take_step(Step step, const Moment& moment);
  Status report_lost(const Moment& moment);  // once the log takes steps again
  Status append_lost(const Moment& moment);
  Status open_span(const Decision& decision, const Actor& driver, const Moment& moment);
  Status close_span(SpanEnd reason, const Moment& moment);

  Log& log_;
  std::string boot_;
  Actor self_;
  std::uint64_t next_id_ = 1;
  EpisodeId episode_ = 0;
  std::optional<OpenSpan> span_;
  SpanId newest_span_ = 0;
  std::optional<Lost> lost_;
  bool span_closed_ = false;
};

}  // namespace nudge
