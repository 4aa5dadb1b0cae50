// The plain values that everything else is made of. No behaviour, no dependencies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "nudge/time.h"

namespace nudge {

// Position of an event or a step in the log, counted from 1 without gaps. 0: none.
using Sequence = std::uint64_t;
// Counted from 1 over the life of the log. 0: outside any episode.
using EpisodeId = std::uint64_t;
// A stretch during which one person drove; counted from 1 over the life of the log. 0: none.
using SpanId = std::uint64_t;
// Number of an accepted set of weights, counted from 1 over the life of the log. 0: no weights.
using WeightsVersion = std::uint64_t;
// Fences off former lease holders: every grant takes the next number. 0: nobody ever held it.
using LeaseEpoch = std::uint64_t;

// Longest feature vector a backbone may produce.
inline constexpr std::size_t kMaxFeatures = 512;

// One camera frame as the robot delivers it.
struct Image {
  std::string camera;              // name, unique per robot ("front", "wrist")
  int width = 0;                   // pixels
  int height = 0;                  // pixels
  Instant captured;                // robot's steady clock, when the exposure ended
  std::vector<std::uint8_t> rgb;   // height x width x 3, row-major, top row first; empty if only
                                   // the JPEG is known
  std::vector<std::uint8_t> jpeg;  // the same frame as it is stored; empty until it is encoded
};

// Whether the robot says that its episode is over, in gymnasium's words.
enum class Over : std::uint8_t {
  kNo = 0,
  kTerminated = 1,  // nothing more can come of it: the task is done, or has become impossible
  kTruncated = 2,   // its time is up
};

// What the robot perceives at one control tick.
struct Observation {
  Instant time;                       // robot's steady clock, when the state was read
  std::vector<float> proprioception;  // [ObservationSpec::proprioception], units given there
  std::vector<float> object_state;    // [ObservationSpec::object_state]; poses, perceived or
                                      // simulated, or empty; hidden from policies with cameras
  std::vector<Image> images;          // latest frame of each camera; empty if not rendered
  bool success = false;               // the robot's own idea of "task done"; never a label
  Over over = Over::kNo;  // the robot ends its episode, until its next reset(); with `success`:
                          // done
  bool stopped = false;  // a stop of its own holds it: it refuses every apply() until reset_estop()
};

// One named number of an observation or an action.
struct Channel {
  std::string name;  // "tool_x"
  std::string unit;  // SI or "1" for a ratio: "m", "rad", "m/s"
  float lower = 0;   // smallest meaningful value, in `unit`
  float upper = 0;   // largest meaningful value, in `unit`
  // Of an action: the robot takes a position, not a rate. The daemon commands rates all the same,
  // and RobotClient makes the position of them: in the bounds and the unit of the proprioception
  // channel of this name, which must be there.
  bool absolute = false;
  bool gripper = false;  // of an action: opens (towards `upper`) and closes the hand
  friend bool operator==(const Channel&, const Channel&) = default;
};

struct CameraSpec {
  std::string name;
  int width = 0;   // pixels
  int height = 0;  // pixels
  friend bool operator==(const CameraSpec&, const CameraSpec&) = default;
};

// Any of the lists may be empty.
struct ObservationSpec {
  std::vector<Channel> proprioception;
  std::vector<Channel> object_state;
  std::vector<CameraSpec> cameras;
  friend bool operator==(const ObservationSpec&, const ObservationSpec&) = default;
};

// An action is a vector of normalised rates in [-1, 1], one per channel, held for a control tick:
// +1 on a channel moves at `upper` per second in its unit, in the robot's base frame. Zero is
// "stay".
struct ActionSpec {
  std::vector<Channel> channels;  // lower/upper: the rates that -1 and +1 stand for
  std::size_t size() const { return channels.size(); }
  friend bool operator==(const ActionSpec&, const ActionSpec&) = default;
};

// What a robot is, and constant over its life.
struct RobotSpec {
  std::string id;  // at most 64 bytes, unique among your robots
  ObservationSpec observation;
  ActionSpec action;
  Duration control_period{};  // of Robot::apply(); at most 20 ms
  Duration policy_period{};   // of a policy step; a multiple of control_period
  friend bool operator==(const RobotSpec&, const RobotSpec&) = default;
};

// Normalised rates, [ActionSpec::size()].
using Action = std::vector<float>;

// H actions, one per policy step, row-major [horizon x action_size].
struct ActionChunk {
  std::size_t horizon = 0;
  std::size_t action_size = 0;
  std::vector<float> actions;
  WeightsVersion version = 0;  // the one set of weights that made all of it
  Instant observed;            // time of the observation it was computed from: start of row 0

  const float* row(std::size_t i) const { return actions.data() + i * action_size; }
};

// Who moved the robot at a step. Persisted: never renumber.
enum class ControlSource : std::uint8_t {
  kHold = 0,    // nobody: standing still
  kPolicy = 1,  // the policy
  kHuman = 2,   // a person, through a takeover
  kNudge = 3,   // the policy, bent by a motion word
  kScript = 4,  // a demonstration script
};

// Rising authority. Persisted: never renumber.
enum class Role : std::uint8_t {
  kScript = 0,      // a program acting as supervisor; yields to any person
  kViewer = 1,      // may look and press STOP
  kSupervisor = 2,  // may take over, correct and label
  kEngineer = 3,    // may promote weights and reset faults
};

struct Actor {
  std::string name;  // at most 64 bytes; who it was, for people and for audit
  Role role = Role::kViewer;
  friend bool operator==(const Actor&, const Actor&) = default;
};

}  // namespace nudge
