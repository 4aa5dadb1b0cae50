// A robot that asks: it sends what it sees, waits for a chunk of actions, plays it without looking
// back, and asks again, as clients of the openpi protocol do. Nobody can take a chunk back, so
// control reaches it with each answer, and whether it did what it was told is not known.
#pragma once

#include <optional>
#include <string>

#include "feedback/authority.h"
#include "nudge/robot.h"

namespace nudge {

// What has come from the robot's side since the last tick.
struct AskingNews {
  // Of a policy elsewhere, for the newest observation or an earlier one; of version 0.
  std::optional<ActionChunk> proposal{};
  std::optional<std::string> instruction{};  // the robot's program names another task
  bool new_episode = false;                  // the newest observation begins one
  std::string hold{};  // why nobody may go on without an act: the program is gone, or the policy
                       // elsewhere; empty: nothing. Said once
  std::string no_takeover{};  // why nobody can take over now; empty: they can
  std::string caution{};      // what cannot be promised for this robot, for people
  std::string trouble{};      // for people, as long as it lasts; empty: none
};

// What a tick decided, as far as the robot's next answer depends on it.
struct TickVerdict {
  AuthorityState state = AuthorityState::kHold;
  ControlSource source = ControlSource::kHold;
  Action rates{};             // within limits, normalised; zeros unless somebody drives
  Action bias{};              // kNudge: what words add to the policy's rates; else empty
  double speed = 1;           // share of the policy's own rates that it may use
  Instant observed{};         // of the newest observation that was known to the tick
  std::string instruction{};  // in force
};

// What a policy elsewhere makes of an observation, on its way to the daemon's head.
struct UpstreamChunk {
  Observation observation;           // with its pictures
  std::string instruction;           // in force
  std::optional<ActionChunk> chunk;  // of version 0; none: not there yet
  bool waits = false;                // for AskingRobot::edited()
};

// The daemon's head, which edits the chunks of a policy elsewhere. Any thread; nothing waits.
class ChunkEditor {
 public:
  virtual ~ChunkEditor() = default;
  virtual bool edits() const = 0;  // weights are in use
  // Without a chunk, the observation is looked at meanwhile. A chunk becomes the reference of the
  // steps that begin with its observation, and is edited where somebody waits for that. False:
  // there is no room.
  virtual bool take(UpstreamChunk upstream) = 0;
};

// Threads as for Robot; what is added here is the step thread's.
class AskingRobot : public Robot {
 public:
  // Chunks come from elsewhere, with take_news(); else from the daemon's own policy, with plan().
  virtual bool policy_elsewhere() const = 0;
  // At the beginning of each tick. observe() then returns the observation that this is about.
  virtual AskingNews take_news() = 0;
  // When the observation that take_news() was about was sent; min(): there is none.
  virtual Instant newest() const = 0;
  // A chunk of the daemon's own policy was taken.
  virtual void plan(const ActionChunk& chunk) = 0;
  // A chunk of a policy elsewhere, edited; of version 0: as it was, since weights have gone out of
  // use meanwhile. Finite. The inference thread's.
  virtual void edited(const ActionChunk& /*chunk*/) {}
  // At the end of each tick.
  virtual void decided(TickVerdict verdict) = 0;
};

}  // namespace nudge
