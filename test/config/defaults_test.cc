// A default stands in two places: in the part that it belongs to, and in the configuration. They
// must not drift apart.
#include <gtest/gtest.h>

#include "feedback/authority.h"
#include "policy/chunk_player.h"
#include "policy/gate.h"
#include "policy/help_signal.h"
#include "policy/probation.h"
#include "policy/round_planner.h"
#include "policy/trainer.h"
#include "policy/weights.h"
#include "replay/dataset.h"
#include "replay/log.h"
#include "replay/returns.h"
#include "replay/sampler.h"
#include "src/config/config.h"
#include "src/sim/kitchen_robot.h"
#include "src/sim/scripted_supervisor.h"

namespace nudge {
namespace {

const Config kDefaults;

TEST(Defaults, OfTheAuthorityAreItsOwn) {
  const AuthorityConfig own;
  EXPECT_EQ(from_milliseconds(static_cast<double>(kDefaults.authority.fresh_ms)), own.fresh);
  EXPECT_EQ(from_milliseconds(static_cast<double>(kDefaults.authority.lease_ms)), own.lease);
  EXPECT_EQ(from_seconds(kDefaults.authority.reacquire_s), own.reacquire);
  EXPECT_EQ(from_seconds(kDefaults.authority.takeover_s), own.takeover_timeout);
  EXPECT_EQ(from_seconds(kDefaults.authority.handback_s), own.handback_timeout);
  EXPECT_EQ(from_milliseconds(static_cast<double>(kDefaults.authority.watchdog_ms)), own.watchdog);
  EXPECT_EQ(from_milliseconds(static_cast<double>(kDefaults.authority.camera_fresh_ms)),
            own.camera_fresh);
  EXPECT_EQ(kDefaults.limits.clamps_to_hold, own.clamp_limit);
  EXPECT_EQ(kDefaults.limits.clamp_window_ticks, own.clamp_window);
}

// A head that the gate lets through must not be held for overshooting a limit.
TEST(Defaults, LimitsLetPassWhatTheGateLetsPass) {
  EXPECT_DOUBLE_EQ(kDefaults.limits.max_rate.front() + kDefaults.limits.slack,
                   GateOptions{}.action_soft_limit);
}

TEST(Defaults, OfTheHeadAreItsOwn) {
  const HeadSpec own;
  EXPECT_EQ(kDefaults.policy.head == PolicyHead::kFlow, own.kind == HeadKind::kFlow);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.policy.horizon), own.horizon);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.policy.hidden), own.hidden);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.policy.layers), own.layers);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.policy.euler_steps), own.euler_steps);
  const ChunkPlayerOptions player;
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.policy.replan_after), player.replan_after);
  EXPECT_EQ(from_milliseconds(static_cast<double>(kDefaults.policy.blend_ms)), player.blend);
  EXPECT_EQ(RoundPlannerOptions{}.micro_min_steps, own.horizon);
}

TEST(Defaults, OfTrainingAreTheTrainersOwn) {
  const TrainerOptions full = TrainerOptions::full();
  const TrainerOptions micro = TrainerOptions::micro();
  const TrainerOptions base = TrainerOptions::base();
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.learner.batch), kBatchSize);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.learner.base_steps), kBaseSteps);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.learner.micro_steps), kMicroSteps);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.learner.full_steps), kFullSteps);
  EXPECT_EQ(kDefaults.learner.base_rate, base.learning_rate);
  EXPECT_EQ(kDefaults.learner.micro_rate, micro.learning_rate);
  EXPECT_EQ(kDefaults.learner.full_rate, full.learning_rate);
  EXPECT_EQ(kDefaults.learner.micro_ema, micro.ema_decay);
  EXPECT_EQ(kDefaults.learner.full_ema, full.ema_decay);
  for (const TrainerOptions& own : {full, micro}) {
    EXPECT_EQ(kDefaults.learner.weight_decay, own.weight_decay);
    EXPECT_EQ(kDefaults.learner.feature_noise, own.feature_noise);
    EXPECT_EQ(kDefaults.learner.clip, own.gradient_clip);
    EXPECT_EQ(kDefaults.learner.proximal, own.proximal);
    EXPECT_EQ(kDefaults.learner.max_distance, own.max_relative_distance);
  }
}

TEST(Defaults, OfBatchesAreTheDatasetsOwn) {
  const Mix own;
  const auto share = [&](SampleClass c) { return own.share[static_cast<std::size_t>(c)]; };
  EXPECT_EQ(kDefaults.learner.share_corrections, share(SampleClass::kCorrection));
  EXPECT_EQ(kDefaults.learner.share_demonstrations, share(SampleClass::kDemonstration));
  EXPECT_EQ(kDefaults.learner.share_autonomous, share(SampleClass::kAutonomousSuccess));
  EXPECT_EQ(from_seconds(kDefaults.learner.drop_before_takeover_s),
            DatasetOptions{}.before_takeover);
}

TEST(Defaults, OfTheGateAndOfProbationAreTheirOwn) {
  const GateOptions gate;
  EXPECT_EQ(kDefaults.gate.max_change, gate.max_relative_change);
  EXPECT_EQ(kDefaults.gate.demonstration_ratio, gate.demonstration_ratio);
  EXPECT_EQ(kDefaults.gate.demonstration_slack, gate.demonstration_slack);
  EXPECT_EQ(kDefaults.gate.heldout_worse, gate.held_out_worse);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.gate.min_heldout_episodes), gate.held_out_episodes);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.gate.probe_heldout), kMaxProbeChunks);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.gate.probe_demonstrations), kMaxProbeChunks);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.gate.probe_observations), kMaxProbeObservations);

  const ProbationOptions probation;
  EXPECT_EQ(kDefaults.probation.episodes, probation.episodes);
  EXPECT_EQ(kDefaults.probation.min_steps, probation.own_steps);
  EXPECT_EQ(kDefaults.probation.clamp_ratio, probation.clamp_ratio);
  EXPECT_EQ(from_milliseconds(kDefaults.probation.latency_ms), probation.latency_budget);
  EXPECT_EQ(kDefaults.probation.confidence, probation.confidence);
  EXPECT_EQ(kDefaults.probation.rollbacks_to_pause, RoundPlannerOptions{}.rollbacks_to_pause);
}

TEST(Defaults, OfTheNightlyTrainingAreItsOwn) {
  const ReturnOptions own;
  EXPECT_EQ(kDefaults.nightly.failure_cost, own.failure_cost);
  EXPECT_EQ(static_cast<std::uint32_t>(kDefaults.nightly.lookahead), own.lookahead);
  EXPECT_EQ(kDefaults.nightly.quantile, own.quantile);
}

TEST(Defaults, OfHelpAreItsOwn) {
  const HelpSignalOptions own;
  EXPECT_EQ(from_seconds(kDefaults.help.window_s), own.window);
  EXPECT_EQ(from_seconds(kDefaults.help.smoothing_s), own.smoothing);
}

TEST(Defaults, OfTheLogAreItsOwn) {
  const LogOptions own;
  EXPECT_EQ(static_cast<std::uint64_t>(kDefaults.log.segment_bytes), own.segment_grow_bytes);
  EXPECT_EQ(static_cast<std::size_t>(kDefaults.log.wal_limit_bytes), own.checkpoint_bytes);
}

TEST(Defaults, OfTheKitchenAreItsOwn) {
  const KitchenOptions kitchen;
  EXPECT_EQ(kDefaults.sim.actuation_noise, kitchen.actuation_noise);
  EXPECT_EQ(kDefaults.sim.cameras, kitchen.cameras);
  EXPECT_EQ(kDefaults.sim.jpeg_quality, kitchen.jpeg_quality);
  EXPECT_EQ(kDefaults.kitchen.level, kitchen.level);
  EXPECT_EQ(kDefaults.kitchen.random_looks, kitchen.random_looks);
  const SupervisorOptions person;
  EXPECT_EQ(from_seconds(kDefaults.demo.stall_s), person.stall);
  EXPECT_EQ(from_seconds(kDefaults.demo.min_drive_s), person.minimum_drive);
  EXPECT_EQ(kDefaults.demo.min_progress, person.drive_progress);
  EXPECT_EQ(kDefaults.demo.wrong_share, person.wrong_share);
  EXPECT_EQ(static_cast<std::uint32_t>(kDefaults.robot.episode_steps), person.time_limit_steps);
}

}  // namespace
}  // namespace nudge
