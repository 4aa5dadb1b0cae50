// What the daemon would tell its ports, with every field set.
#pragma once

#include <string>
#include <utility>

#include "replay/dataset.h"
#include "src/ports/desk.h"

namespace nudge::test {

inline DeskInfo sample_desk_info() {
  DeskInfo info;
  info.robot.id = "kitchen";
  info.robot.control_period = std::chrono::milliseconds(20);
  info.robot.policy_period = std::chrono::milliseconds(100);
  info.robot.action.channels = {{"tool_x", "m/s", -0.25F, 0.25F},
                                {"tool_y", "m/s", -0.25F, 0.25F},
                                {"tool_z", "m/s", -0.25F, 0.25F},
                                {"gripper", "m/s", -0.1F, 0.1F}};
  info.robot.observation.proprioception = {{"tool_x", "m", 0.2F, 0.6F}};
  info.robot.observation.cameras = {{"front", 128, 128}, {"wrist", 96, 64}};
  info.program = "nudge 0.1.0";
  info.boot = "boot-1764029000";
  info.fresh = std::chrono::milliseconds(200);
  return info;
}

inline Snapshot sample_snapshot() {
  Snapshot now;
  now.now = Instant(std::chrono::milliseconds(8'123));
  now.wall = WallTime(std::chrono::milliseconds(1'764'029'000'123));
  now.tick = 1234;
  now.state = AuthorityState::kHuman;
  now.cause = "driving";
  now.lease = {.epoch = 3, .holder = Actor{"tablet#3", Role::kEngineer}};
  now.source = ControlSource::kHuman;
  now.proposed = {0.1F, 0, 0, 0};
  now.requested = {0, 0, -1, 0};
  now.executed = {0, 0, -0.9F, 0};
  now.clamped = true;
  now.episode = 7;
  now.policy_step = 12;
  now.autonomous = 9;
  now.step_limit = 100;
  now.episode_length = std::chrono::milliseconds(1'234);
  now.instruction = "lift the red block";
  now.takeovers = 1;
  now.human = std::chrono::milliseconds(300);
  now.observation.time = now.now - std::chrono::microseconds(3'100);
  now.observation.proprioception = {0.4F, 0, 0.2F, 0.08F};
  now.playing = 4;
  now.refused_commands = {1, 0, 2, 0, 3, 0, 0, 0, 50};
  now.help = {.help = 12,
              .reason = HelpReason::kDisagreement,
              .score = 0.625,
              .since = std::chrono::milliseconds(1'300)};
  now.uncertainty = 0.625;
  now.help_asks = 2;
  now.missed_ticks = 5;
  now.lost_steps = 6;
  return now;
}

inline LearningStatus sample_learning() {
  return {.state = "training",
          .detail = "21 corrections",
          .round = "micro",
          .done = 7,
          .total = 20,
          .next = "after this episode",
          .confined = true};
}

// Events of one boot, a second after each other.
class EventMaker {
 public:
  Event make(Payload payload, EpisodeId episode = 0, std::uint32_t step = 0,
             Actor actor = {"nudge", Role::kScript}) {
    Event event;
    event.sequence = ++sequence_;
    event.id = id.empty() ? boot + ":" + std::to_string(sequence_) : std::exchange(id, {});
    event.episode = episode;
    event.policy_step = step;
    event.control_tick = 50 * sequence_;
    event.time = Instant(std::chrono::seconds(sequence_));
    event.wall_time = WallTime(std::chrono::milliseconds(1'764'029'000'000 + sequence_));
    event.boot = boot;
    event.actor = std::move(actor);
    event.weights = weights;
    event.payload = std::move(payload);
    return event;
  }

  std::string boot = "boot-1";
  std::string id;  // of the next event only; empty: made up
  WeightsVersion weights = 0;

 private:
  Sequence sequence_ = 0;
};

inline Sha256 sample_hash(std::uint8_t number) {
  Sha256 hash{};
  hash[0] = number;
  return hash;
}

// One round of each kind, the second refused.
inline LearningLedger sample_ledger() {
  LearningLedger ledger;
  EventMaker events;
  ledger.apply(events.make(CandidateReceived{.hash = sample_hash(4),
                                             .parent = 3,
                                             .kind = WeightsKind::kProvisional,
                                             .prefix = 11,
                                             .train_seconds = 0.0617,
                                             .steps = 20,
                                             .loss = 0.01234567,
                                             .correction_episodes = 5,
                                             .correction_steps = 61,
                                             .demonstration_steps = 240}));
  ledger.apply(events.make(
      WeightsAccepted{4, sample_hash(4), 3, WeightsKind::kProvisional, R"({"accepted":true})"}));
  ledger.apply(events.make(CandidateReceived{.hash = sample_hash(5),
                                             .parent = 3,
                                             .kind = WeightsKind::kFull,
                                             .prefix = 14,
                                             .train_seconds = 1.6,
                                             .steps = 1000,
                                             .loss = 0.009,
                                             .correction_episodes = 5,
                                             .correction_steps = 69,
                                             .demonstration_steps = 240}));
  ledger.apply(events.make(WeightsRejected{sample_hash(5), 3, "forgets", "too much"}));
  return ledger;
}

inline DatasetCounts sample_dataset() {
  DatasetCounts counts;
  counts.trainable[static_cast<std::size_t>(SampleClass::kCorrection)] = 61;
  counts.trainable[static_cast<std::size_t>(SampleClass::kRecovery)] = 8;
  counts.trainable[static_cast<std::size_t>(SampleClass::kNudged)] = 5;
  counts.trainable[static_cast<std::size_t>(SampleClass::kAutonomousSuccess)] = 320;
  counts.trainable[static_cast<std::size_t>(SampleClass::kDemonstration)] = 240;
  counts.held_out[static_cast<std::size_t>(SampleClass::kCorrection)] = 12;
  counts.held_out[static_cast<std::size_t>(SampleClass::kAutonomousSuccess)] = 30;
  counts.discarded = 6;
  counts.taken_out = 7;
  counts.quarantined = 26;
  counts.deployments = 14;
  counts.successes = 9;
  counts.failures = 2;
  counts.discards = 1;
  counts.supervisors = {{"anna#1", 30, 4, 0, 0},
                        {"ben#2", 10, 4, 5, 12},
                        {"anna#5", 21, 0, 0, 0},
                        {"eva#9", 0, 0, 0, 3}};
  return counts;
}

// Two versions of weights and two episodes, one of them corrected.
inline History sample_history() {
  History history;
  EventMaker events;
  const Actor anna = {"anna#1", Role::kSupervisor};
  history.apply(events.make(Booted{"nudge 0.1.0", "kitchen"}));
  history.apply(events.make(WeightsAccepted{3, {}, 0, WeightsKind::kFull, ""}));
  history.apply(events.make(WeightsPromoted{3}));
  history.apply(events.make(WeightsLive{3}));
  events.weights = 3;
  history.apply(events.make(EpisodeStarted{EpisodePurpose::kDeployment, 1, "lift"}, 6));
  history.apply(events.make(EpisodeEnded{EpisodeEnd::kTaskDone, 40}, 6, 39));
  history.apply(events.make(Label{6, 0, LabelValue::kSuccess}, 6, 39, anna));
  history.apply(events.make(EpisodeStarted{EpisodePurpose::kDeployment, 2, "lift"}, 7));
  history.apply(events.make(SpanOpened{1, SpanKind::kTakeover, 1, 10}, 7, 10, anna));
  history.apply(events.make(SpanClosed{1, SpanEnd::kReleased, 17, true}, 7, 17, anna));
  history.apply(
      events.make(WeightsAccepted{4, {}, 3, WeightsKind::kProvisional, R"({"accepted":true})"}));
  history.apply(events.make(WeightsLive{4}));
  events.weights = 4;
  history.apply(events.make(EpisodeEnded{EpisodeEnd::kTimeLimit, 44}, 7, 43));
  history.apply(events.make(Label{7, 0, LabelValue::kFailure}, 7, 43, anna));
  return history;
}

}  // namespace nudge::test
