#include "src/daemon/step_thread.h"

#include <gtest/gtest.h>

#include "test/support/fake_robot.h"
#include "test/support/small_policy.h"

namespace nudge {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};

Instant no_clock() { return Instant{}; }
WallTime no_wall() { return WallTime{}; }

// The thread's own function, called by the test: no thread runs, no clock is read.
class StepThreadTest : public ::testing::Test {
 protected:
  void SetUp() override { make({}); }

  void make(StepThreadOptions options, std::vector<std::string> cameras = {},
            Duration camera_same = {}) {
    ControllerOptions controller = test::small_controller(robot_.spec());
    controller.cameras = std::move(cameras);
    controller.camera_same = camera_same;
    controller.authority.joints = {0};
    controller.limits.max_step = {2.0, 2.0};
    auto made = Controller::make(robot_, controller);
    ASSERT_TRUE(made.ok()) << made.status().message();
    options.clock = no_clock;
    options.wall = no_wall;
    options.instruction = "lift";
    options.next_episode = 7;
    options.episode_steps = 10;
    links_ = std::make_unique<Links>();
    step_ = std::make_unique<StepThread>(robot_, *std::move(made), *links_, options);
  }

  void tick(int count = 1) {
    for (int i = 0; i < count; ++i) {
      robot_.now += kTick;
      step_->tick(robot_.now, robot_.now);
      if (std::optional<Snapshot> snapshot = links_->snapshot.try_take()) {
        snapshot_ = *std::move(snapshot);
      }
      if (infer_) infer();
      std::vector<WriterItem> items;
      links_->writer.try_take_all(items);
      for (WriterItem& item : items) {
        if (auto* report = std::get_if<StepReport>(&item)) reports_.push_back(std::move(*report));
      }
    }
  }

  // What the inference thread does, at once.
  void infer() {
    std::vector<InferenceRequest> requests;
    links_->requests.try_take_all(requests);
    for (InferenceRequest& request : requests) {
      if (request.step) begun_.push_back(*request.step);
      if (!request.chunk) continue;
      links_->chunks.put(
          {.chunk = test::steady_chunk(request.observation.time, links_->loaded, 0.5f)});
      if (doubt_) {
        links_->doubts.put({.disagreement = *doubt_, .observed = request.observation.time});
      }
    }
  }

  void act(decltype(AuthorityAct::body) body) {
    EXPECT_TRUE(links_->acts.try_push(
        {.id = "act" + std::to_string(++acts_), .actor = kAnna, .body = std::move(body)}));
  }

  void start_policy() {
    links_->loaded = 3;
    act(HandBack{});
    tick(4);
    ASSERT_EQ(snapshot_.state, AuthorityState::kAuto);
  }

  std::vector<EpisodeOver> ended() const {
    std::vector<EpisodeOver> all;
    for (const StepReport& report : reports_) {
      if (report.over) all.push_back(*report.over);
    }
    return all;
  }
  std::vector<EpisodeBegun> begun() const {
    std::vector<EpisodeBegun> all;
    for (const StepReport& report : reports_) {
      if (report.begun) all.push_back(*report.begun);
    }
    return all;
  }

  FakeRobot robot_;
  std::unique_ptr<Links> links_;
  std::unique_ptr<StepThread> step_;
  Snapshot snapshot_;
  std::vector<StepReport> reports_;
  std::vector<std::uint32_t> begun_;
  bool infer_ = true;
  std::optional<double> doubt_;
  int acts_ = 0;
};

TEST_F(StepThreadTest, HoldsAfterItsStartAndRunsNoEpisode) {
  links_->loaded = 3;
  tick(100);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "boot");
  EXPECT_EQ(snapshot_.episode, 0u);
  EXPECT_TRUE(reports_.empty());
}

TEST_F(StepThreadTest, TheFirstActThatMovesTheRobotBeginsAnEpisode) {
  start_policy();
  ASSERT_EQ(begun().size(), 1u);
  EXPECT_EQ(begun()[0].episode, 7u);
  EXPECT_EQ(begun()[0].instruction, "lift");
  EXPECT_EQ(snapshot_.episode, 7u);
}

TEST_F(StepThreadTest, ASuccessEndsTheEpisodeAtOnceAndTheNextOneLastsUntilItsOwn) {
  start_policy();
  tick(3);
  robot_.success = true;
  tick();
  ASSERT_EQ(ended().size(), 1u);
  EXPECT_EQ(ended()[0].reason, EpisodeEnd::kTaskDone);
  // The tick that begins the next episode still sees the block in the air.
  tick(20);
  EXPECT_EQ(begun().size(), 2u);
  EXPECT_EQ(ended().size(), 1u) << "what was seen before the reset has ended the next episode";
  EXPECT_GT(snapshot_.policy_step, 0u);
}

TEST_F(StepThreadTest, AnEpisodeWithoutWeightsIsADemonstrationAndOneWithWeightsIsNone) {
  act(TakeoverRequest{});
  tick(2);
  ASSERT_EQ(begun().size(), 1u);
  EXPECT_EQ(begun()[0].purpose, EpisodePurpose::kDemonstration);
  act(EndEpisode{});
  tick(2);
  links_->loaded = 3;
  act(TakeoverRequest{});
  tick(2);
  ASSERT_EQ(begun().size(), 2u);
  EXPECT_EQ(begun()[1].purpose, EpisodePurpose::kDeployment);
}

TEST_F(StepThreadTest, AnEpisodeEndsByHandAndByTheRobotWithItsReason) {
  start_policy();
  act(EndEpisode{});
  tick(2);
  ASSERT_EQ(ended().size(), 1u);
  EXPECT_EQ(ended()[0].reason, EpisodeEnd::kReset);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.episode, 0u);
  for (const auto& [over, reason] : {std::pair{Over::kTruncated, EpisodeEnd::kTimeLimit},
                                     std::pair{Over::kTerminated, EpisodeEnd::kAborted}}) {
    act(HandBack{});
    tick(4);
    robot_.over = over;
    tick();
    robot_.over = Over::kNo;
    act(Hold{});
    tick(2);
    ASSERT_FALSE(ended().empty());
    EXPECT_EQ(ended().back().reason, reason);
  }
}

TEST_F(StepThreadTest, ARobotThatStopsItselfIsShownAsStopped) {
  robot_.stopped = true;
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
}

TEST_F(StepThreadTest, NobodyResetsARobotThatIsStopped) {
  ++links_->stop_presses;
  tick();
  act(HandBack{});
  act(TakeoverRequest{});
  tick(3);
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  EXPECT_TRUE(begun().empty());
}

TEST_F(StepThreadTest, TheEndOfAnEpisodeKeepsStopLatched) {
  start_policy();
  ++links_->stop_presses;
  tick(60 * 50 + 10);
  ASSERT_EQ(ended().size(), 1u);
  for (const StepReport& report : reports_) {
    EXPECT_TRUE(!report.over || report.decision.stop_latched);
  }
}

TEST_F(StepThreadTest, AHandThatLetsGoIsHeardWhateverIsPressedInTheSameTick) {
  act(TakeoverRequest{});
  tick();
  const auto jog = [&](std::uint64_t sequence, bool dead_man) {
    return SentJog{kAnna, JogCommand{.robot = robot_.spec().id,
                                     .epoch = snapshot_.lease.epoch,
                                     .sequence = sequence,
                                     .echoed_tick = snapshot_.tick,
                                     .dead_man = dead_man,
                                     .action = {0.5f, 0.0f}}};
  };
  links_->jog.put(jog(1, true));
  tick();
  ASSERT_EQ(snapshot_.state, AuthorityState::kHuman);
  links_->let_go.put(jog(2, false));
  links_->jog.put(jog(3, true));
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "dead_man_released");
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
}

TEST_F(StepThreadTest, PlaysTheChunksThatInferenceSends) {
  start_policy();
  tick(10);
  ASSERT_FALSE(robot_.applied.empty());
  EXPECT_EQ(robot_.applied.back(), Action({0.5f, 0.5f}));
  EXPECT_EQ(snapshot_.playing, 3u);
}

TEST_F(StepThreadTest, AsksForAChunkAsSoonAsOtherWeightsAreLoaded) {
  start_policy();
  links_->loaded = 4;
  tick(2);
  EXPECT_EQ(snapshot_.playing, 4u);
}

TEST_F(StepThreadTest, StopDuringASwapStopsAndTheNewWeightsWaitForAHandBack) {
  start_policy();
  tick(10);
  infer_ = false;
  links_->loaded = 4;  // its first chunk is asked for in the tick of the STOP
  ++links_->stop_presses;
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  EXPECT_EQ(snapshot_.source, ControlSource::kHold);
  const std::size_t applied = robot_.applied.size();
  infer_ = true;
  tick(50);
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  EXPECT_EQ(robot_.applied.size(), applied) << "a chunk that arrives moves nothing";
  act(ResetStop{});
  tick(20);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(robot_.applied.size(), applied);
  act(HandBack{});
  tick(5);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_EQ(snapshot_.playing, 4u);
}

TEST_F(StepThreadTest, ATakeoverDuringASwapCutsThePolicyWhicheverVersionIsDue) {
  start_policy();
  tick(10);
  infer_ = false;
  links_->loaded = 4;
  act(TakeoverRequest{});
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kTakeover);
  EXPECT_EQ(snapshot_.source, ControlSource::kHold);
  infer_ = true;
  tick(50);
  EXPECT_EQ(snapshot_.state, AuthorityState::kTakeover);
  EXPECT_EQ(snapshot_.source, ControlSource::kHold)
      << "the new version is shown, and moves nothing";
  EXPECT_EQ(snapshot_.playing, 4u);
}

TEST_F(StepThreadTest, AFlushOfTheGateDropsTheChunkThatPlays) {
  start_policy();
  infer_ = false;
  ++links_->flushes;
  tick();
  EXPECT_EQ(snapshot_.playing, 0u);
}

TEST_F(StepThreadTest, EveryStepThatBeginsIsSentToInferenceForItsFeatures) {
  start_policy();
  tick(25);
  ASSERT_GE(begun_.size(), 5u);
  for (std::size_t i = 0; i < begun_.size(); ++i) EXPECT_EQ(begun_[i], i);
}

TEST_F(StepThreadTest, AnEpisodeEndsByTimeAndTheNextBeginsWhileThePolicyDrives) {
  start_policy();
  tick(70);
  ASSERT_GE(ended().size(), 1u);
  EXPECT_EQ(ended()[0].reason, EpisodeEnd::kTimeLimit);
  ASSERT_GE(begun().size(), 2u);
  EXPECT_EQ(begun()[1].episode, 8u);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
}

TEST_F(StepThreadTest, ASpeedAskedForInWordsIsShownAndEndsWithTheEpisode) {
  start_policy();
  act(SpeedChange{.absolute = true, .scale = 0.5});
  tick();
  EXPECT_EQ(snapshot_.speed, 0.5);
  EXPECT_EQ(robot_.applied.back(), (Action{0.25f, 0.25f}));
  tick(70);
  ASSERT_GE(begun().size(), 2u);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_EQ(snapshot_.speed, 1.0);
}

TEST_F(StepThreadTest, ShowsSinceWhenThePolicyDrives) {
  tick();
  EXPECT_EQ(snapshot_.driving_since, Instant::min());
  start_policy();
  const Instant first = snapshot_.driving_since;
  EXPECT_GT(first, Instant::min());
  act(Hold{});
  tick(10);
  EXPECT_EQ(snapshot_.driving_since, first);
  start_policy();
  EXPECT_GT(snapshot_.driving_since, first + 10 * kTick);
}

TEST_F(StepThreadTest, HoldingDoesNotCountAgainstTheTimeOfAnEpisode) {
  start_policy();
  act(Hold{});
  tick(500);
  EXPECT_TRUE(ended().empty());
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.episode, 7u);
}

TEST_F(StepThreadTest, AnEpisodeThatStandsStillForTooLongIsOverAndNoneFollows) {
  start_policy();
  act(Hold{});
  tick(60 * 50 + 10);
  ASSERT_EQ(ended().size(), 1u);
  EXPECT_EQ(ended()[0].reason, EpisodeEnd::kAborted);
  EXPECT_EQ(snapshot_.episode, 0u);
}

TEST_F(StepThreadTest, ARobotThatPeopleResetHoldsAtTheEndOfEachEpisode) {
  StepThreadOptions options;
  options.continuous = false;
  make(options);
  start_policy();
  tick(70);
  EXPECT_EQ(ended().size(), 1u);
  EXPECT_EQ(begun().size(), 1u);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  act(HandBack{});
  tick(4);
  EXPECT_EQ(begun().size(), 2u);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
}

TEST_F(StepThreadTest, ALeaderArmDrivesOnceItIsWhereTheRobotIs) {
  robot_.position = 0.5f;
  act(TakeoverRequest{});
  tick();
  ASSERT_EQ(snapshot_.state, AuthorityState::kTakeover);
  std::uint64_t sequence = 0;
  const auto lead = [&](float joint) {
    SentJog sent{.actor = kAnna, .command = {}};
    sent.command = {.robot = "fake",
                    .epoch = snapshot_.lease.epoch,
                    .sequence = ++sequence,
                    .echoed_tick = snapshot_.tick,
                    .dead_man = true,
                    .action = {0.1f, 0},
                    .leader = {joint}};
    links_->jog.put(std::move(sent));
    tick();
  };
  for (int i = 0; i < 50; ++i) lead(0.8f);
  EXPECT_EQ(snapshot_.state, AuthorityState::kTakeover);
  EXPECT_TRUE(robot_.applied.empty());
  lead(0.55f);
  lead(0.55f);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHuman);
}

// ---- cameras that matter -----------------------------------------------------------------------

TEST_F(StepThreadTest, AFrozenCameraThatMattersKeepsThePolicyFromDrivingAndIsNamed) {
  make({}, {"front", "wrist"});
  const auto film = [&] {
    robot_.images.resize(2);
    robot_.images[0].camera = "front";
    robot_.images[1].camera = "wrist";
    robot_.images[0].captured = robot_.images[1].captured = robot_.now;
  };
  tick();
  EXPECT_EQ(snapshot_.robot_trouble, "camera 'front' shows nothing new") << "none came yet";
  film();
  start_policy();
  for (int i = 0; i < 20; ++i) {
    film();
    tick();
  }
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_EQ(snapshot_.robot_trouble, "");
  // Frames go on arriving, but one camera's are always the same.
  for (int i = 0; i < 30; ++i) {
    const Instant frozen = robot_.images[1].captured;
    film();
    robot_.images[1].captured = frozen;
    tick();
  }
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "camera_stale");
  EXPECT_EQ(snapshot_.robot_trouble, "camera 'wrist' shows nothing new");
}

TEST_F(StepThreadTest, ACameraWhoseClockIsAheadIsFrozenAsSoonAsAnyOther) {
  make({}, {"front"});
  robot_.images.resize(1);
  robot_.images[0].camera = "front";
  robot_.images[0].captured = robot_.now + std::chrono::hours(1);
  start_policy();
  tick(30);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "camera_stale");
}

TEST_F(StepThreadTest, ACameraThatShowsTheSamePictureWithNewTimesIsFrozenUntilADifferentOneComes) {
  make({}, {"front"}, std::chrono::seconds(1));
  robot_.images.resize(1);
  Image& frame = robot_.images[0];
  frame.camera = "front";
  frame.jpeg = {0xff, 0xd8, 0};
  const auto film = [&](int ticks, int change) {
    for (int i = 0; i < ticks; ++i) {
      frame.captured = robot_.now;
      frame.jpeg[2] = static_cast<std::uint8_t>(frame.jpeg[2] + change);
      tick();
    }
  };
  film(1, 0);
  start_policy();
  film(100, 1);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  film(49, 0);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto) << "a second is what it may take";
  film(1, 0);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "camera_stale");
  EXPECT_EQ(snapshot_.robot_trouble, "camera 'front' shows nothing new");

  act(HandBack{});
  reports_.clear();
  film(1, 0);
  ASSERT_FALSE(reports_.empty());
  ASSERT_EQ(reports_[0].decision.answers.size(), 1u);
  const Status& refused = reports_[0].decision.answers[0].status;
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
  EXPECT_NE(refused.message().find("camera 'front'"), std::string::npos) << refused.message();

  film(1, 1);
  EXPECT_EQ(snapshot_.robot_trouble, "");
  act(HandBack{});
  film(10, 0);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
}

TEST_F(StepThreadTest, PicturesAreNotComparedUnlessAsked) {
  make({}, {"front"});
  robot_.images.resize(1);
  robot_.images[0].camera = "front";
  robot_.images[0].jpeg = {0xff, 0xd8, 0};
  robot_.images[0].captured = robot_.now;
  start_policy();
  for (int i = 0; i < 500; ++i) {
    robot_.images[0].captured = robot_.now;
    tick();
  }
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
}

TEST_F(StepThreadTest, ACameraThatDoesNotMatterMayFreeze) {
  robot_.images.resize(1);
  robot_.images[0].camera = "front";
  start_policy();
  tick(30);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
}

// ---- a robot that takes its time to reset
// --------------------------------------------------------

TEST_F(StepThreadTest, ALongResetIsWaitedForAndTheEpisodesStepsBeginAfterIt) {
  robot_.slow_reset = true;
  links_->loaded = 3;
  act(HandBack{});
  tick(1000);  // 20 s
  EXPECT_EQ(snapshot_.state, AuthorityState::kHandback);
  EXPECT_EQ(snapshot_.cause, "resetting");
  ASSERT_EQ(begun().size(), 1u);
  EXPECT_TRUE(begun_.empty());
  EXPECT_TRUE(robot_.applied.empty());
  robot_.busy = false;
  tick(5);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_EQ(snapshot_.episode, 7u);
  EXPECT_LT(snapshot_.episode_length, 10 * kTick) << "the reset is not part of it";
  ASSERT_FALSE(begun_.empty());
  EXPECT_EQ(begun_.front(), 0u);
  EXPECT_FALSE(robot_.applied.empty());
  EXPECT_EQ(robot_.resets, 1);
}

TEST_F(StepThreadTest, ASuccessThatWasSeenBeforeTheResetsEndDoesNotEndTheNewEpisode) {
  robot_.slow_reset = true;
  links_->loaded = 3;
  act(HandBack{});
  tick();
  // The reset ended between two ticks; the newest observation is from before that.
  robot_.busy = false;
  robot_.success = true;
  robot_.now += kTick / 2;
  step_->tick(robot_.now + kTick / 2, robot_.now + kTick / 2);
  robot_.success = false;
  robot_.now += kTick / 2;
  tick(5);
  EXPECT_TRUE(ended().empty());
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_EQ(snapshot_.episode, 7u);
}

TEST_F(StepThreadTest, AResetIsNotEndedByTheHoldsOfEachTick) {
  robot_.slow_reset = true;
  act(HandBack{});
  tick();
  const int before = robot_.holds;
  tick(100);
  EXPECT_EQ(robot_.holds, before);
  act(Hold{});
  tick(10);
  EXPECT_EQ(robot_.holds, before + 1) << "but by somebody's";
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
}

TEST_F(StepThreadTest, AResetThatFailsEndsItsEpisodeInHoldAndSaysWhy) {
  robot_.slow_reset = true;
  act(HandBack{});
  tick(100);
  robot_.busy = false;
  robot_.reset_ended = unavailable("the gripper is stuck");
  tick(2);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "reset_failed");
  EXPECT_EQ(snapshot_.robot_trouble, "the reset failed: the gripper is stuck");
  ASSERT_EQ(ended().size(), 1u);
  EXPECT_EQ(ended()[0].reason, EpisodeEnd::kAborted);
  EXPECT_EQ(ended()[0].steps, 0u);

  // The next start tries again.
  robot_.slow_reset = false;
  robot_.reset_ended = {};
  links_->loaded = 3;
  act(HandBack{});
  tick(5);
  EXPECT_EQ(robot_.resets, 2);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
  EXPECT_EQ(snapshot_.robot_trouble, "");
}

TEST_F(StepThreadTest, AResetThatHasFailedBeforeAnybodyAsksIsAFailureToo) {
  robot_.reset_ended = unavailable("the gripper is stuck");
  links_->loaded = 3;
  act(HandBack{});
  tick(5);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.robot_trouble, "the reset failed: the gripper is stuck");
  EXPECT_TRUE(robot_.applied.empty());
}

TEST_F(StepThreadTest, ARobotThatRefusesToResetIsNotDriven) {
  robot_.reset_answer = unavailable("the robot is not connected");
  links_->loaded = 3;
  act(HandBack{});
  tick(5);
  EXPECT_EQ(snapshot_.state, AuthorityState::kHold);
  EXPECT_EQ(snapshot_.cause, "reset_failed");
  EXPECT_EQ(ended().size(), 1u);
  EXPECT_TRUE(robot_.applied.empty());
}

TEST_F(StepThreadTest, AResetThatNeverEndsIsGivenUpAndTheRobotHolds) {
  robot_.slow_reset = true;
  act(HandBack{});
  tick();
  const int before = robot_.holds;
  tick(31 * 50);
  EXPECT_EQ(ended().size(), 1u);
  EXPECT_GT(robot_.holds, before);
  EXPECT_NE(snapshot_.robot_trouble.find("too long"), std::string::npos);
  // It still shows nothing new, and nothing excuses that any longer.
  EXPECT_EQ(snapshot_.state, AuthorityState::kFaultHold);
}

TEST_F(StepThreadTest, StopReachesARobotThatResets) {
  robot_.slow_reset = true;
  act(HandBack{});
  tick(50);
  ++links_->stop_presses;
  tick();
  EXPECT_GE(robot_.estops, 1);
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  robot_.busy = false;
  robot_.reset_ended = aborted("stopped");
  tick(2);
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  EXPECT_EQ(ended().size(), 1u);
}

TEST_F(StepThreadTest, StopReachesTheRobotWithinATick) {
  start_policy();
  ++links_->stop_presses;
  tick();
  EXPECT_EQ(snapshot_.state, AuthorityState::kEstop);
  EXPECT_GE(robot_.estops, 1);
}

TEST_F(StepThreadTest, ANewInstructionFlushesWhatWasPlannedForTheOldOne) {
  start_policy();
  infer_ = false;
  links_->instruction.put("put it down");
  tick();
  EXPECT_EQ(snapshot_.playing, 0u);
  EXPECT_EQ(snapshot_.instruction, "put it down");
}

TEST_F(StepThreadTest, TheRobotHearsOfANewInstruction) {
  start_policy();
  links_->instruction.put("put it down");
  tick();
  EXPECT_EQ(robot_.told, "put it down");
}

TEST_F(StepThreadTest, AnEpisodeBeginsWithWhatTheRobotsSceneCallsFor) {
  robot_.scene = "put the can on the tray";
  start_policy();
  EXPECT_EQ(begun()[0].instruction, "put the can on the tray");
  EXPECT_EQ(snapshot_.instruction, "put the can on the tray");
}

TEST_F(StepThreadTest, WhatAFullQueueRefusedIsCountedAndItsRecordsComeLater) {
  start_policy();
  // The writer stalls: nobody takes anything.
  for (int i = 0; i < 20'000; ++i) {
    robot_.now += kTick;
    step_->tick(robot_.now, robot_.now);
    infer();
    if (i % 500 == 250) act(Hold{});
    if (i % 500 == 300) act(HandBack{});
  }
  std::vector<WriterItem> items;
  links_->writer.try_take_all(items);
  std::uint32_t lost = 0;
  for (const WriterItem& item : items) {
    if (const auto* report = std::get_if<StepReport>(&item)) lost += report->lost;
  }
  reports_.clear();
  tick(20);
  for (const StepReport& report : reports_) lost += report.lost;
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(snapshot_.lost_steps, lost);
}

TEST_F(StepThreadTest, ARobotThatStopsAnsweringIsSaidSo) {
  start_policy();
  robot_.silent = true;
  tick(20);
  EXPECT_EQ(snapshot_.state, AuthorityState::kFaultHold);
  EXPECT_NE(snapshot_.robot_trouble.find("does not answer"), std::string::npos);
}

// ---- help ---------------------------------------------------------------------------------------

class StepThreadHelpTest : public StepThreadTest {
 protected:
  void SetUp() override {
    StepThreadOptions options;
    HelpSignalOptions help;
    help.policy_period = robot_.spec().policy_period;
    help.range = {2};
    help.next_help = 12;
    options.help = help;
    make(options);
    links_->help_thresholds.put({0.5, 0, kNeverAsk.seconds});
  }
  template <typename T>
  std::vector<T> told(std::optional<T> StepReport::*what) const {
    std::vector<T> all;
    for (const StepReport& report : reports_) {
      if (report.*what) all.push_back(*(report.*what));
    }
    return all;
  }
};

TEST_F(StepThreadHelpTest, AsksWhenThePolicyIsUnsureAndThePolicyDrivesOn) {
  doubt_ = 0.9;
  start_policy();
  tick(35);
  const auto asked = told(&StepReport::help_asked);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].help, 12u);
  EXPECT_EQ(asked[0].reason, HelpReason::kDisagreement);
  EXPECT_EQ(snapshot_.help.help, 12u);
  EXPECT_EQ(snapshot_.help_asks, 1u);
  ASSERT_TRUE(snapshot_.uncertainty.has_value());
  EXPECT_GT(*snapshot_.uncertainty, 0.5);
  EXPECT_EQ(snapshot_.state, AuthorityState::kAuto);
}

TEST_F(StepThreadHelpTest, ATakeoverIsTheAnswer) {
  doubt_ = 0.9;
  start_policy();
  tick(35);
  act(TakeoverRequest{});
  tick(2);
  const auto ended = told(&StepReport::help_ended);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].help, 12u);
  EXPECT_EQ(ended[0].reason, HelpEnd::kTakenOver);
  EXPECT_EQ(snapshot_.help.help, 0u);
}

TEST_F(StepThreadHelpTest, DeclinedHelpIsNotAskedAgainInTheEpisodeAndMayBeInTheNext) {
  doubt_ = 0.9;
  start_policy();
  tick(30);
  ASSERT_EQ(snapshot_.help.help, 12u);
  links_->declined_help = 12;
  tick();
  EXPECT_EQ(snapshot_.help.help, 0u);
  EXPECT_TRUE(told(&StepReport::help_ended).empty()) << "whoever declined it has logged that";
  while (snapshot_.episode == 7) tick();
  EXPECT_EQ(told(&StepReport::help_asked).size(), 1u);
  tick(40);
  EXPECT_EQ(told(&StepReport::help_asked).size(), 2u);
}

TEST_F(StepThreadHelpTest, TheEndOfAnEpisodeTellsTheWorstSignsAndEndsTheAsk) {
  doubt_ = 0.9;
  start_policy();
  while (ended().empty()) tick();
  const auto over = told(&StepReport::help_ended);
  ASSERT_EQ(over.size(), 1u);
  EXPECT_EQ(over[0].reason, HelpEnd::kEpisodeEnded);
  const auto scored = told(&StepReport::help_scored);
  ASSERT_EQ(scored.size(), 1u);
  EXPECT_NEAR(scored[0].disagreement, 0.9, 1e-6);
  EXPECT_GT(scored[0].seconds, 0.5);
}

TEST_F(StepThreadHelpTest, WhatTheRobotIsToldDoesNotDependOnTheSignal) {
  doubt_ = 0.9;
  start_policy();
  tick(100);
  const std::vector<Action> asking = robot_.applied;
  const std::size_t asks = told(&StepReport::help_asked).size();
  robot_.applied.clear();
  robot_.now = Instant(std::chrono::seconds(1));
  reports_.clear();
  doubt_.reset();
  make({});
  start_policy();
  tick(100);
  EXPECT_GT(asks, 0u) << "nothing to compare";
  EXPECT_TRUE(told(&StepReport::help_scored).empty());
  EXPECT_EQ(robot_.applied, asking);
}

}  // namespace
}  // namespace nudge
