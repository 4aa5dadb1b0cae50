// Where ports bring what people send, and learn what to show. Lives on the io thread; nothing here
// waits.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "feedback/broker.h"
#include "nudge/event.h"
#include "nudge/robot.h"
#include "replay/dataset.h"
#include "src/daemon/snapshot.h"
#include "src/ports/history.h"
#include "src/ports/learning_ledger.h"
#include "src/ports/supervisor_wire.h"

namespace nudge {

struct LearningStatus {
  std::string state = "off";          // off, idle, training, paused, waiting, stale, restarting
  std::string detail;                 // for people
  std::string round;                  // micro, full; empty: none
  std::uint64_t done = 0, total = 0;  // steps of the round
  std::string next;                   // for people: when the next round comes
  std::optional<bool> confined{};     // the learner, by all of its sandbox; none: it said nothing
};

struct DeskInfo {
  RobotSpec robot;
  std::string program;  // "nudge 0.1.0"
  std::string boot;
  Duration fresh{};  // longest age of a command
  // What was wrong with the log when this boot found it, and what to do; empty: nothing.
  std::string alarm = {};
};

// What people should see to about the disk, though nothing acknowledged is lost by it. Texts are
// for people; empty: all is well.
struct StorageStatus {
  std::string unwritten;    // files of the state folder that could not be written
  std::string over_budget;  // the recorded steps exceed log.budget_bytes
  std::string heads;        // signed heads are not in log.heads_file
  std::uint64_t heads_exported = 0, heads_waiting = 0, heads_dropped = 0;

  std::string text() const;  // all of them in one
};

// What ports may ask the rest of the daemon for.
class Desk {
 public:
  using Reply = std::function<void(const Ack&)>;
  virtual ~Desk() = default;

  virtual const DeskInfo& info() const = 0;
  virtual const Snapshot& snapshot() const = 0;  // newest
  virtual const History& history() const = 0;    // durable events so far
  virtual const LearningStatus& learning() const = 0;
  virtual const LearningLedger& ledger() const = 0;  // of durable events so far
  virtual const DatasetCounts& dataset() const = 0;  // as far as the gate has folded the log
  virtual bool recording() const = 0;
  virtual const StorageStatus& storage() const = 0;
  // The log's newest signed head, a line of JSON; empty: none yet.
  virtual const std::string& log_head() const = 0;
  // Newest frame of each camera, as in RobotSpec; its jpeg is empty when there was none yet.
  virtual std::span<const Image> frames() const = 0;

  // Judges a message. `reply` is called once, now or later, unless the message is a jog.
  virtual void submit(FeedbackMessage message, Reply reply) = 0;
  virtual void submit(OperatorMessage message, const Actor& actor, Reply reply) = 0;

  // What is on disk of the past. `reply` is called once, now or later: the JSON of an episode, the
  // JPEG of a frame. kNotFound: there is none, or it is not kept any more; kDataLoss: it is
  // damaged; kResourceExhausted: too many ask at once.
  using Read = std::function<void(Result<std::string>)>;
  virtual void read_episode(EpisodeId episode, Read reply) = 0;
  virtual void read_frame(EpisodeId episode, std::string camera, std::uint32_t step,
                          Read reply) = 0;
  // The episode that a span is of; 0: there is no such span, or it is not kept any more.
  virtual EpisodeId episode_of(SpanId span) const = 0;
  // Has a copy of the log's database made, for a backup: `reply` gets JSON with its place in the
  // state folder. Errors of Log::go_on_with_snapshot().
  virtual void snapshot_log(Read reply) = 0;
};

// What the desk tells its ports.
class DeskListener {
 public:
  virtual ~DeskListener() = default;
  virtual void on_events(std::span<const Event> events) = 0;  // durable, in order
  virtual void on_status() = 0;                               // 20 times a second
  virtual void on_frame(std::size_t camera) = 0;              // a new one in frames()
};

}  // namespace nudge
