// Whole deployments in the real kitchen: real robot, log, gate, weights and probation. Where a test
// needs a learner that misbehaves, one is put at the far side of the socket; where it needs a full
// disk, under the log.
#include "src/loop/deployment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <span>

#include "policy/input_layout.h"
#include "src/loop/evaluation.h"
#include "test/support/altered_weights.h"
#include "test/support/faulty_files.h"
#include "test/support/scripted_learner.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

namespace fs = std::filesystem;
using test::ScriptedLearner;

// A regression head: it learns enough from a few demonstrations in a second, and what is done to
// its last layer is done to its actions.
Config quick_config() {
  Config config;
  config.policy.head = PolicyHead::kRegression;
  config.policy.hidden = 64;
  config.policy.layers = 2;
  config.learner.base_steps = 400;
  config.learner.batch = 64;
  config.learner.micro_steps = 10;
  config.learner.full_steps = 30;
  return config;
}

// What a test reads back when the deployment is gone.
struct Story {
  std::vector<Event> events;
  std::vector<Step> steps;
  bool whole = false;  // the log's own verification

  template <typename T>
  std::vector<T> all() const {
    std::vector<T> found;
    for (const Event& event : events) {
      if (const auto* payload = std::get_if<T>(&event.payload)) found.push_back(*payload);
    }
    return found;
  }
  // Of the newest T; 0: none.
  template <typename T>
  Sequence last() const {
    Sequence sequence = 0;
    for (const Event& event : events) {
      if (std::holds_alternative<T>(event.payload)) sequence = event.sequence;
    }
    return sequence;
  }
};

Story read_story(const std::string& state) {
  Story story;
  LogOptions options;
  options.dir = state + "/log";
  options.read_only = true;
  auto log = Log::open(posix_files(), options);
  EXPECT_TRUE(log.ok()) << log.status().message();
  story.events = *(*log)->events({}, 1, 1'000'000);
  const auto report = (*log)->verify();
  EXPECT_TRUE(report.ok()) << report.status().message();
  story.whole = report->ok();
  for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
  const auto episodes = (*log)->episodes(1, 1000);
  EXPECT_TRUE(episodes.ok());
  for (const EpisodeSummary& episode : *episodes) {
    if (episode.purpose != EpisodePurpose::kDeployment || episode.steps == 0) continue;
    const auto map = SegmentMap::open(posix_files(), episode.path);
    EXPECT_TRUE(map.ok()) << map.status().message();
    const Status scanned = (*map)->scan((*map)->first(), episode.bytes, SegmentMap::Check::kCrc,
                                        [&](const StepView& step) {
                                          story.steps.push_back(*(*map)->decode(step.offset));
                                          return true;
                                        });
    EXPECT_TRUE(scanned.ok()) << scanned.message();
  }
  return story;
}

class DeploymentTest : public ::testing::Test {
 protected:
  // Demonstrations and promoted first weights, made once and copied for each test.
  static void SetUpTestSuite() {
    use_one_torch_thread();
    prepared_ = std::make_unique<test::TempFolder>();
    DeploymentOptions options;
    options.config = quick_config();
    options.state_folder = *prepared_ / "state";
    options.learn = false;
    auto deployment = Deployment::open(options);
    ASSERT_TRUE(deployment.ok()) << deployment.status().message();
    const Status made = (*deployment)->demonstrate(8, 1, {});
    ASSERT_TRUE(made.ok()) << made.message();
    const auto weights = (*deployment)->train_from_scratch(Material::kDemonstrations, {});
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    const auto version = (*deployment)->install(weights->weights);
    ASSERT_TRUE(version.ok()) << version.status().message();
    ASSERT_EQ(*version, 1u);
  }
  static void TearDownTestSuite() { prepared_.reset(); }

  void SetUp() override {
    state_ = folder_ / "state";
    fs::copy(*prepared_ / "state", state_, fs::copy_options::recursive);
    options_.config = quick_config();
    options_.state_folder = state_;
    options_.learn = false;
    options_.notice = [this](LogLevel level, std::string_view component,
                             const std::string& message) {
      notices_.push_back(std::string(component) + ": " + message);
      if (on_notice_) on_notice_(notices_.back());
      if (level == LogLevel::kError) ++errors_;
    };
  }
  // An episode that went well starts a round.
  void let_successes_teach() {
    options_.config.learner.share_corrections = 0.5;
    options_.config.learner.share_demonstrations = 0.3;
    options_.config.learner.share_autonomous = 0.2;
  }
  void TearDown() override {
    deployment_.reset();
    learner_.reset();
    scripted_.reset();
  }

  void open() {
    auto deployment = Deployment::open(options_);
    ASSERT_TRUE(deployment.ok()) << deployment.status().message();
    deployment_ = *std::move(deployment);
  }
  std::string endpoint() const { return "ipc://" + state_ + "/run/learner"; }
  void open_with(ScriptedLearner::Craft craft) {
    options_.learn = true;
    open();
    scripted_ = std::make_unique<ScriptedLearner>(options_.config, endpoint(), std::move(craft));
  }
  EpisodeOutcome run(std::uint64_t seed) {
    const auto outcome = deployment_->run_episode(seed);
    EXPECT_TRUE(outcome.ok()) << outcome.status().message();
    return outcome.ok() ? *outcome : EpisodeOutcome{};
  }
  Story close_and_read() {
    deployment_.reset();
    return read_story(state_);
  }
  bool noticed(const std::string& text) const {
    return std::any_of(notices_.begin(), notices_.end(), [&](const std::string& notice) {
      return notice.find(text) != std::string::npos;
    });
  }
  std::string all_notices() const {
    std::string text;
    for (const std::string& notice : notices_) text += notice + "\n";
    return text;
  }
  void damage(WeightsVersion version) {
    const std::string path = state_ + "/weights/" + std::to_string(version) + ".safetensors";
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(file) << path;
    file.seekp(-64, std::ios::end);
    file.put('\x7f');
  }
  // A start with the block between `low` and `high` to the robot's left.
  std::uint64_t start_with_block(double low, double high) {
    auto robot = KitchenRobot::create(kitchen_options(options_.config));
    EXPECT_TRUE(robot.ok());
    for (std::uint64_t seed = 1; seed < 10'000; ++seed) {
      EXPECT_TRUE((*robot)->reset(seed).ok());
      const double y = (*robot)->observe()->object_state[kBlockY];
      if (y >= low && y <= high) return seed;
    }
    ADD_FAILURE() << "no start with the block there";
    return 0;
  }

  static std::unique_ptr<test::TempFolder> prepared_;
  test::TempFolder folder_;
  std::string state_;
  DeploymentOptions options_;
  std::vector<std::string> notices_;
  int errors_ = 0;
  std::function<void(const std::string&)> on_notice_;
  std::unique_ptr<Deployment> deployment_;
  std::unique_ptr<ScriptedLearner> scripted_;
  std::unique_ptr<test::LearnerThread> learner_;
};
std::unique_ptr<test::TempFolder> DeploymentTest::prepared_;

// A supervisor who only watches, and episodes too short to lose patience in.
void watch_only(Config& config) {
  config.demo.stall_s = 60;
  config.robot.episode_steps = 20;
}

// ---- weights and boot --------------------------------------------------------------------------

TEST_F(DeploymentTest, RecordsDemonstrationsUntilEnoughWentWellAndCallsTheOthersFailures) {
  options_.state_folder = state_ = folder_ / "hasty";
  options_.config.kitchen.level = 3;
  open();
  DemonstratorOptions hasty;
  hasty.hand.hasty_share = 0.5;
  const Status made = deployment_->demonstrate(4, 1, hasty);
  ASSERT_TRUE(made.ok()) << made.message();
  std::map<LabelValue, int> labels;
  for (const Label& label : close_and_read().all<Label>()) ++labels[label.value];
  EXPECT_EQ(labels[LabelValue::kSuccess], 4);
  EXPECT_GT(labels[LabelValue::kFailure], 0);
  EXPECT_EQ(labels.size(), 2u);
}

TEST_F(DeploymentTest, HoldsTheRobotWithoutWeights) {
  options_.state_folder = state_ = folder_ / "fresh";
  watch_only(options_.config);
  open();
  run(1);
  EXPECT_EQ(deployment_->history().live(), 0u);
  const Story story = close_and_read();
  EXPECT_FALSE(story.steps.empty());
  for (const Step& step : story.steps) {
    EXPECT_EQ(step.source, ControlSource::kHold);
    for (const float rate : step.executed) EXPECT_EQ(rate, 0.0f);
  }
  for (const AuthorityChanged& change : story.all<AuthorityChanged>()) {
    EXPECT_NE(change.to, AuthorityState::kAuto);
  }
}

TEST_F(DeploymentTest, BootsThePromotedWeightsAndRunsAnEpisode) {
  open();
  EXPECT_EQ(deployment_->history().confirmed(), 1u);
  const EpisodeOutcome outcome = run(1);
  EXPECT_EQ(outcome.weights, 1u);
  EXPECT_NE(outcome.label, LabelValue::kNone);
  EXPECT_EQ(outcome.label == LabelValue::kSuccess, outcome.success);
  EXPECT_GT(outcome.policy_steps, outcome.human_steps);
  const Story story = close_and_read();
  EXPECT_TRUE(story.whole);
  ASSERT_EQ(story.all<WeightsLive>().size(), 1u);
  EXPECT_EQ(story.all<WeightsLive>()[0].version, 1u);
  EXPECT_EQ(story.steps.size(), outcome.policy_steps);
}

TEST_F(DeploymentTest, StartsOnlyByADeliberateAct) {
  open();
  run(1);
  const Story story = close_and_read();
  const Sequence booted = story.last<Booted>();
  for (const Event& event : story.events) {
    const auto* change = std::get_if<AuthorityChanged>(&event.payload);
    if (event.sequence < booted || change == nullptr) continue;
    EXPECT_EQ(change->from, AuthorityState::kHold) << "boot is HOLD";
    EXPECT_EQ(event.actor.name, "operator");
    break;
  }
}

TEST_F(DeploymentTest, RefusedWeightsAreRecordedAndChangeNothing) {
  open();
  const auto installed = deployment_->install(std::vector<std::byte>(100));
  EXPECT_EQ(installed.status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(deployment_->history().confirmed(), 1u);
  EXPECT_EQ(run(1).weights, 1u);
  const Story story = close_and_read();
  ASSERT_EQ(story.all<WeightsRejected>().size(), 1u);
  EXPECT_EQ(story.all<WeightsRejected>()[0].reason, "wrong_shape");
}

TEST_F(DeploymentTest, TheSameStartsGiveTheSameEpisodes) {
  const auto run_two = [&](const std::string& name) {
    options_.state_folder = state_ = folder_ / name;
    fs::copy(*prepared_ / "state", state_, fs::copy_options::recursive);
    open();
    run(5);
    run(6);
    std::vector<Action> executed;
    for (const Step& step : close_and_read().steps) executed.push_back(step.executed);
    return executed;
  };
  EXPECT_EQ(run_two("a"), run_two("b"));
}

TEST_F(DeploymentTest, HoldsWithAClearNoticeWhenTheConfirmedFileIsDamaged) {
  damage(1);
  watch_only(options_.config);
  open();
  EXPECT_TRUE(noticed("the confirmed weights v1 cannot be used")) << all_notices();
  EXPECT_TRUE(noticed("the robot holds until others are promoted")) << all_notices();
  run(1);
  // An engineer makes it work again.
  const auto weights = deployment_->train_from_scratch(Material::kDemonstrations, {});
  ASSERT_TRUE(weights.ok());
  const auto installed = deployment_->install(weights->weights);
  ASSERT_TRUE(installed.ok()) << installed.status().message();
  EXPECT_EQ(run(2).weights, *installed);
  const Story story = close_and_read();
  ASSERT_EQ(story.all<Fault>().size(), 1u);
  EXPECT_EQ(story.all<Fault>()[0].code, "weights");
  for (const Step& step : story.steps) {
    if (step.episode == story.steps.front().episode) {
      EXPECT_EQ(step.source, ControlSource::kHold);
    }
  }
}

// ---- learning ----------------------------------------------------------------------------------

TEST_F(DeploymentTest, LearnsFromACorrectionWhileItWorks) {
  options_.learn = true;
  open();
  learner_ = std::make_unique<test::LearnerThread>(options_.config, endpoint());
  int corrected = 0;
  for (std::uint64_t seed = 1; seed <= 12 && (corrected < 2 || deployment_->delays().full.empty());
       ++seed) {
    corrected += run(seed).corrected ? 1 : 0;
  }
  ASSERT_GE(corrected, 2) << "the policy is too good for this test";
  const DeploymentCounts counts = deployment_->counts();
  EXPECT_GT(counts.rounds, 0u);
  EXPECT_GT(counts.accepted, 0u) << all_notices();
  EXPECT_GT(deployment_->history().live(), 1u);
  ASSERT_FALSE(deployment_->delays().full.empty()) << all_notices();
  for (const double delay : deployment_->delays().full) EXPECT_GT(delay, 0);
  const Story story = close_and_read();
  EXPECT_TRUE(story.whole);
  EXPECT_EQ(story.all<CandidateReceived>().size(),
            story.all<WeightsAccepted>().size() - 1 + story.all<WeightsRejected>().size());
}

TEST_F(DeploymentTest, TheFirstCorrectionAlreadyMakesAMicroRound) {
  std::mutex mutex;
  std::vector<RoundKind> ordered;
  open_with([&](const RoundOrder& order, const Weights&) {
    const std::lock_guard lock(mutex);
    ordered.push_back(order.kind);
    return std::nullopt;
  });
  ASSERT_TRUE(run(start_with_block(0.1, 0.15)).corrected) << "the policy is too good for this test";
  const std::lock_guard lock(mutex);
  EXPECT_NE(std::find(ordered.begin(), ordered.end(), RoundKind::kMicro), ordered.end());
}

TEST_F(DeploymentTest, TriesAgainWhatWasCorrectedWhenAskedTo) {
  options_.config.demo.again = true;
  open();
  for (std::uint64_t seed = 1; seed <= 12; ++seed) run(seed);
  const Story story = close_and_read();
  const auto apart = [](const Step& a, const Step& b) {
    const auto along = [&](int axis) { return a.proprioception[axis] - b.proprioception[axis]; };
    return std::hypot(along(0), along(1), along(2));
  };
  // The step in which a person took over from the policy; then how near the robot is to it in the
  // first steps that the policy drives again.
  int tries = 0;
  const Step* taken = nullptr;
  for (std::size_t i = 1; i + 2 < story.steps.size(); ++i) {
    const Step& step = story.steps[i];
    if (step.episode != story.steps[i - 1].episode) taken = nullptr;
    if (step.source == ControlSource::kPolicy && taken != nullptr) {
      float nearest = 1;
      for (const Step& after : std::span(story.steps).subspan(i, 3)) {
        nearest = std::min(nearest, apart(after, *taken));
      }
      EXPECT_LT(nearest, 0.015) << "episode " << step.episode << ", step " << step.policy_step;
      ++tries;
      taken = nullptr;
    }
    const Step& before = story.steps[i - 1];
    if (step.source != ControlSource::kPolicy && before.source == ControlSource::kPolicy &&
        step.episode == before.episode) {
      taken = &step;
    }
  }
  EXPECT_GT(tries, 0) << "the policy is too good for this test";
}

TEST_F(DeploymentTest, WorksOnWithoutItsLearner) {
  options_.learn = true;
  options_.program = "/bin/false";
  options_.config.learner.restart_first_s = 0.1;
  options_.config.learner.restart_max_s = 0.1;
  open();
  for (std::uint64_t seed = 1; seed <= 2; ++seed) EXPECT_EQ(run(seed).weights, 1u);
  EXPECT_GT(deployment_->counts().learner_deaths, 0u);
  EXPECT_TRUE(noticed("learner: ")) << all_notices();
}

TEST_F(DeploymentTest, AGarbageCandidateIsRefusedAndTheRobotWorksOn) {
  open_with([](const RoundOrder&, const Weights&) { return std::vector<std::byte>(1000); });
  for (std::uint64_t seed = 1; seed <= 8 && deployment_->counts().rejected == 0; ++seed) run(seed);
  EXPECT_GE(deployment_->counts().rejected, 1u);
  EXPECT_EQ(deployment_->counts().accepted, 0u);
  EXPECT_EQ(deployment_->history().live(), 1u);
  EXPECT_TRUE(noticed("wrong_shape")) << all_notices();
}

// ---- restarts ----------------------------------------------------------------------------------

// A child that differs by next to nothing.
std::vector<std::byte> harmless(const RoundOrder& order, const Weights& base) {
  const WeightsKind kind =
      order.kind == RoundKind::kMicro ? WeightsKind::kProvisional : WeightsKind::kFull;
  return test::altered_weights(base, test::child_lineage(base, kind), [&](test::Tensors& tensors) {
    tensors.at("net.0.bias")[0] += 1e-4f * static_cast<float>(order.prefix % 97 + 1);
  });
}

TEST_F(DeploymentTest, FullRoundsThatTakeLongerThanEpisodesStillArrive) {
  std::atomic<std::int64_t> slow{0};  // s
  options_.clock = [&] { return steady_now() + std::chrono::seconds(slow); };
  open_with([&](const RoundOrder& order, const Weights& base) {
    if (order.kind == RoundKind::kFull) slow += 15;
    return harmless(order, base);
  });
  const std::uint64_t start = start_with_block(0.1, 0.15);
  std::uint64_t full = 0;
  const auto count_full = [&] {
    full = 0;
    for (const auto& [version, record] : deployment_->history().records()) {
      if (version != 1 && record.kind == WeightsKind::kFull) ++full;
    }
  };
  for (int i = 0; i < 12 && full < 2; ++i) {
    run(start);
    count_full();
  }
  EXPECT_GE(full, 2u) << all_notices();
  EXPECT_GE(deployment_->counts().superseded, 1u) << "the first gives way to a micro-round";
  EXPECT_LE(deployment_->counts().superseded, full + 1);

  const Story story = close_and_read();
  std::map<WeightsVersion, std::pair<WeightsKind, EpisodeId>> accepted;
  EpisodeId episode = 0;
  for (const Event& event : story.events) {
    if (std::holds_alternative<EpisodeStarted>(event.payload)) episode = event.episode;
    const auto* version = std::get_if<WeightsAccepted>(&event.payload);
    if (version == nullptr) continue;
    accepted[version->version] = {version->kind, episode};
    if (version->kind != WeightsKind::kProvisional) continue;
    const auto& [parent_kind, parent_episode] = accepted.at(version->parent);
    EXPECT_TRUE(parent_kind == WeightsKind::kFull || parent_episode == episode)
        << "v" << version->version << " builds on what an earlier episode's micro-round made";
  }
}

TEST_F(DeploymentTest, NeverBootsWhatWasNotConfirmed) {
  open_with(harmless);
  for (std::uint64_t seed = 1; seed <= 8 && deployment_->history().live() <= 1; ++seed) run(seed);
  ASSERT_GT(deployment_->history().live(), 1u) << all_notices();
  ASSERT_EQ(deployment_->history().confirmed(), 1u);
  deployment_.reset();  // the process ends without saying goodbye
  scripted_.reset();

  options_.learn = false;
  open();
  EXPECT_EQ(run(77).weights, 1u);
  const Story story = close_and_read();
  const Sequence booted = story.last<Booted>();
  for (const Step& step : story.steps) {
    if (step.sequence > booted) {
      EXPECT_LE(step.weights, 1u);
    }
  }
}

struct Crash {};

TEST_F(DeploymentTest, ACrashWhileAProvisionalVersionDrivesEndsInHoldWithTheConfirmedOne) {
  open_with(harmless);
  on_notice_ = [](const std::string& notice) {
    if (notice.find("is live") != std::string::npos && notice.find("v1 is live") == notice.npos) {
      throw Crash{};  // out of the middle of an episode
    }
  };
  bool crashed = false;
  for (std::uint64_t seed = 1; seed <= 8 && !crashed; ++seed) {
    try {
      run(seed);
    } catch (const Crash&) {
      crashed = true;
    }
  }
  ASSERT_TRUE(crashed) << all_notices();
  on_notice_ = nullptr;
  const Sequence durable = deployment_->log_stats().durable;
  deployment_.reset();
  scripted_.reset();

  options_.learn = false;
  open();
  EXPECT_GE(deployment_->log_stats().durable, durable) << "acknowledged, then lost";
  EXPECT_EQ(deployment_->history().confirmed(), 1u);
  EXPECT_EQ(run(78).weights, 1u);
  const Story story = close_and_read();
  EXPECT_TRUE(story.whole);
  const Sequence booted = story.last<Booted>();
  bool first = true;
  for (const Event& event : story.events) {
    const auto* change = std::get_if<AuthorityChanged>(&event.payload);
    if (event.sequence < booted || change == nullptr) continue;
    if (std::exchange(first, false)) {
      EXPECT_EQ(change->from, AuthorityState::kHold);
    }
  }
  EXPECT_EQ(story.all<EpisodeStarted>().size(), story.all<EpisodeEnded>().size())
      << "the episode that the crash cut off was closed";
  EXPECT_EQ(story.all<SpanOpened>().size(), story.all<SpanClosed>().size());
}

// ---- probation ---------------------------------------------------------------------------------

// Does what the parent does, until number `at` of the features (or, with `tool`, of the
// proprioception) is greater than `limit`: then every action is infinite or worse. One hidden unit
// that sleeps on all that the gate can know.
std::vector<std::byte> time_bomb(const Weights& base, std::size_t at, double limit,
                                 bool tool = false) {
  return test::altered_weights(base, test::child_lineage(base), [&](test::Tensors& tensors) {
    const InputLayout layout(base.head());
    const std::string norm = tool ? "norm.proprioception" : "norm.feature";
    const double mean = tensors.at(norm + ".mean")[at];
    const double scale = tensors.at(norm + ".scale")[at];
    std::vector<float>& first = tensors.at("net.0.weight");
    for (std::size_t i = 0; i < layout.width; ++i) first[i] = 0;
    first[(tool ? layout.proprioception : layout.features).offset + at] = 1e30f;
    tensors.at("net.0.bias")[0] = static_cast<float>(-1e30 * (limit - mean) / scale);
    std::vector<float>& second = tensors.at("net.1.weight");
    for (std::size_t row = 0; row < base.head().hidden; ++row) {
      second[row * base.head().hidden] = 1e30f;
    }
  });
}

TEST_F(DeploymentTest, WhatIsNotFiniteNeverReachesTheRobotAndIsRolledBack) {
  let_successes_teach();
  options_.config.gate.max_change = 1e300;  // the bomb is in numbers that no real round would make
  open_with(
      [](const RoundOrder& order, const Weights& base) -> std::optional<std::vector<std::byte>> {
        if (order.kind == RoundKind::kMicro || base.lineage().parent_hash != "")
          return std::nullopt;
        return time_bomb(base, kBlockY, 0.0);
      });
  const std::uint64_t right = start_with_block(-0.12, -0.05);
  const std::uint64_t left = start_with_block(0.06, 0.12);
  run(right);
  const EpisodeOutcome outcome = run(left);
  EXPECT_EQ(deployment_->counts().accepted, 1u) << all_notices();
  EXPECT_EQ(deployment_->counts().rolled_back, 1u) << all_notices();
  EXPECT_TRUE(noticed("rolling back v2 to v1")) << all_notices();
  EXPECT_EQ(outcome.weights, 1u);
  EXPECT_EQ(deployment_->history().live(), 1u);
  ASSERT_NE(deployment_->history().find(2), nullptr);
  EXPECT_EQ(deployment_->history().find(2)->state, WeightsState::kRolledBack);
  const Story story = close_and_read();
  ASSERT_EQ(story.all<WeightsRolledBack>().size(), 1u);
  EXPECT_EQ(story.all<WeightsRolledBack>()[0].from, 2u);
  EXPECT_EQ(story.all<WeightsRolledBack>()[0].to, 1u);
  EXPECT_EQ(story.all<WeightsRolledBack>()[0].reason, "non_finite");
  int autonomous = 0;
  for (const Step& step : story.steps) {
    for (const float rate : step.executed) EXPECT_TRUE(std::isfinite(rate));
    for (const float rate : step.requested) EXPECT_TRUE(std::isfinite(rate));
    EXPECT_NE(step.weights, 2u);
    autonomous += step.episode == outcome.episode && step.source == ControlSource::kPolicy ? 1 : 0;
  }
  EXPECT_GT(autonomous, 10) << "the confirmed weights went on with the episode";
}

TEST_F(DeploymentTest, TwoRollbacksInARowPauseLearning) {
  let_successes_teach();
  options_.config.gate.max_change = 1e300;
  std::atomic<int> rollbacks = 0;
  int bombs = 0;  // of the learner's thread
  on_notice_ = [&](const std::string& notice) {
    if (notice.find("rolling back") != std::string::npos) ++rollbacks;
  };
  open_with(
      [&](const RoundOrder& order, const Weights& base) -> std::optional<std::vector<std::byte>> {
        if (order.kind == RoundKind::kMicro || bombs > rollbacks) return std::nullopt;
        return time_bomb(base, kBlockY, ++bombs == 1 ? 0.0 : 0.1);
      });
  run(start_with_block(-0.12, -0.05));
  // A candidate comes as late in simulated time as it took in real time.
  for (int i = 0; i < 4 && rollbacks == 0; ++i) run(start_with_block(0.02, 0.05));
  ASSERT_EQ(deployment_->counts().rolled_back, 1u) << all_notices();
  EXPECT_FALSE(noticed("learning is paused"));
  for (int i = 0; i < 4 && rollbacks == 1; ++i) run(start_with_block(0.13, 0.15));
  EXPECT_EQ(deployment_->counts().rolled_back, 2u) << all_notices();
  EXPECT_TRUE(noticed("learning is paused")) << all_notices();
  const std::uint64_t rounds = deployment_->counts().rounds;
  run(start_with_block(0.13, 0.15));
  run(start_with_block(-0.12, -0.05));
  EXPECT_EQ(deployment_->counts().rounds, rounds) << "paused is paused, whatever is corrected";
  EXPECT_EQ(deployment_->history().live(), 1u);
  EXPECT_EQ(close_and_read().all<LearningPaused>().size(), 1u);
}

TEST_F(DeploymentTest, ARollbackWhileThePolicyDrivesGoesOnWithTheConfirmedWeights) {
  let_successes_teach();
  options_.config.gate.max_change = 1e300;
  open_with(
      [](const RoundOrder& order, const Weights& base) -> std::optional<std::vector<std::byte>> {
        if (order.kind == RoundKind::kMicro || base.lineage().parent_hash != "")
          return std::nullopt;
        return time_bomb(base, kToolY, 0.03, /*tool=*/true);
      });
  run(start_with_block(-0.12, -0.05));
  const std::uint64_t left = start_with_block(0.06, 0.12);
  EpisodeOutcome outcome;
  for (int i = 0; i < 4 && deployment_->counts().rolled_back == 0; ++i) outcome = run(left);
  ASSERT_EQ(deployment_->counts().rolled_back, 1u) << all_notices();
  EXPECT_EQ(outcome.weights, 1u);
  const Story story = close_and_read();
  EXPECT_EQ(story.all<WeightsRolledBack>()[0].reason, "non_finite");
  int second = 0, first = 0;
  const Sequence back = story.last<WeightsRolledBack>();
  for (const Step& step : story.steps) {
    for (const float rate : step.executed) EXPECT_TRUE(std::isfinite(rate));
    if (step.source != ControlSource::kPolicy) continue;
    if (step.weights == 2) {
      ++second;
      EXPECT_LT(step.sequence, back + 2) << "one step at most was under way";
    }
    if (step.weights == 1 && step.sequence > back) ++first;
  }
  EXPECT_GT(second, 0) << "it never drove";
  EXPECT_GT(first, 0);
  for (const AuthorityChanged& change : story.all<AuthorityChanged>()) {
    EXPECT_NE(change.to, AuthorityState::kFaultHold);
  }
}

TEST_F(DeploymentTest, ConfirmedWeightsThatFailLeaveTheRobotHoldingWithANotice) {
  options_.config.gate.max_change = 1e300;
  watch_only(options_.config);
  open();
  const auto base = deployment_->newest_full_weights();
  ASSERT_TRUE(base.ok());
  const auto installed = deployment_->install(time_bomb(**base, kBlockY, 0.0));
  ASSERT_TRUE(installed.ok()) << installed.status().message();
  const auto outcome = deployment_->run_episode(start_with_block(0.06, 0.12));
  EXPECT_TRUE(noticed("gave an action that cannot be played")) << all_notices();
  EXPECT_EQ(std::count_if(notices_.begin(), notices_.end(),
                          [](const std::string& notice) {
                            return notice.find("cannot be played") != std::string::npos;
                          }),
            1)
      << "told once";
  EXPECT_EQ(deployment_->counts().rolled_back, 0u) << "there is nothing better to go back to";
  const Story story = close_and_read();
  EXPECT_TRUE(story.whole);
  for (const Step& step : story.steps) {
    for (const float rate : step.executed) EXPECT_EQ(rate, 0.0f);
  }
}

TEST_F(DeploymentTest, AFaultInAnEpisodeIsInTheLogWithTheEpisodesEnd) {
  options_.config.gate.max_change = 1e300;
  options_.config.demo.stall_s = 60;
  options_.config.robot.episode_steps = 29;  // shorter than the supervisor's patience
  open();
  const auto base = deployment_->newest_full_weights();
  ASSERT_TRUE(base.ok());
  ASSERT_TRUE(deployment_->install(time_bomb(**base, kToolY, 0.03, /*tool=*/true)).ok());
  const auto outcome = deployment_->run_episode(start_with_block(0.06, 0.12));
  EXPECT_EQ(outcome.status().code(), Code::kFailedPrecondition) << "a fault needs a person";
  const Story story = close_and_read();
  EXPECT_TRUE(story.whole);
  bool faulted = false;
  for (const AuthorityChanged& change : story.all<AuthorityChanged>()) {
    faulted = faulted || change.to == AuthorityState::kFaultHold;
  }
  EXPECT_TRUE(faulted);
  ASSERT_FALSE(story.all<EpisodeEnded>().empty());
  EXPECT_EQ(story.all<EpisodeEnded>().back().reason, EpisodeEnd::kTimeLimit);
}

TEST_F(DeploymentTest, WeightsThatRunIntoTheLimitsAreRolledBack) {
  // Limits that only count: otherwise the authority would hold before probation has a say.
  options_.config.limits.clamps_to_hold = 1023;
  options_.config.limits.clamp_window_ticks = 1024;
  options_.config.limits.slack = 0.15;
  options_.config.gate.demonstration_slack = 10;
  options_.config.gate.max_change = 100;
  options_.config.probation.episodes = 20;
  open_with(
      [&](const RoundOrder& order, const Weights& base) -> std::optional<std::vector<std::byte>> {
        if (order.kind == RoundKind::kMicro || base.lineage().parent_hash != "" ||
            order.episode < 16) {  // first the parent shows its own rate
          return std::nullopt;
        }
        // Presses the gripper, open or closed, harder than it can.
        return test::altered_weights(base, test::child_lineage(base), [&](test::Tensors& tensors) {
          const HeadSpec& head = base.head();
          std::vector<float>& weight = tensors.at(test::output_layer(base) + ".weight");
          std::vector<float>& bias = tensors.at(test::output_layer(base) + ".bias");
          for (std::size_t h = 0; h < head.horizon; ++h) {
            const std::size_t row = h * head.action_size + kMoveGripper;
            const double scale = tensors.at("norm.action.scale")[kMoveGripper];
            const double mean = tensors.at("norm.action.mean")[kMoveGripper];
            for (std::size_t i = 0; i < head.hidden; ++i) weight[row * head.hidden + i] *= 1.35f;
            bias[row] = static_cast<float>(1.35 * bias[row] + 0.35 * mean / scale);
          }
        });
      });
  for (std::uint64_t seed = 1; seed <= 20 && deployment_->counts().rolled_back == 0; ++seed) {
    run(seed);
  }
  EXPECT_EQ(deployment_->counts().rolled_back, 1u) << all_notices();
  EXPECT_EQ(deployment_->history().live(), 1u);
  const Story story = close_and_read();
  ASSERT_EQ(story.all<WeightsRolledBack>().size(), 1u) << all_notices();
  EXPECT_EQ(story.all<WeightsRolledBack>()[0].reason, "clamp_rate");
}

TEST_F(DeploymentTest, ConfirmsWhatProvedItself) {
  options_.config.probation.episodes = 2;
  open_with(harmless);
  for (std::uint64_t seed = 1; seed <= 12 && deployment_->counts().confirmed == 0; ++seed) {
    run(seed);
  }
  ASSERT_GE(deployment_->counts().confirmed, 1u) << all_notices();
  const WeightsVersion confirmed = deployment_->history().confirmed();
  EXPECT_GT(confirmed, 1u);
  EXPECT_EQ(deployment_->history().find(confirmed)->kind, WeightsKind::kFull);
  deployment_.reset();
  scripted_.reset();
  options_.learn = false;
  open();
  EXPECT_EQ(run(99).weights, confirmed);
}

// ---- a full disk -------------------------------------------------------------------------------

class FullDiskDeploymentTest : public DeploymentTest {
 protected:
  FullDiskDeploymentTest() : files_(posix_files()) {}
  void open_on_faulty_disk() {
    options_.files = &files_;
    open();
    start_ = start_with_block(0.1, 0.15);  // hard for this policy, so the supervisor has to help
    files_.plan({});
    const EpisodeOutcome outcome = run(start_);
    ASSERT_GT(outcome.takeovers, 0u);
    calls_ = files_.calls();  // of one episode
  }
  test::FaultyFiles files_;
  std::uint64_t start_ = 0;
  std::uint64_t calls_ = 0;
};

TEST_F(FullDiskDeploymentTest, TheEpisodeGoesOnAndRecordingComesBack) {
  open_on_faulty_disk();
  Sequence durable = 0;
  on_notice_ = [&](const std::string& notice) {
    if (notice.find("NOT RECORDING") != std::string::npos) {
      durable = deployment_->log_stats().durable;
    }
    if (notice.find("recording again") != std::string::npos) {
      EXPECT_GT(deployment_->log_stats().durable, durable);
    }
  };
  files_.plan({.at = calls_ / 2, .for_good = true, .no_space = true, .until = calls_ / 2 + 8});
  const EpisodeOutcome outcome = run(start_);
  EXPECT_TRUE(noticed("NOT RECORDING")) << all_notices();
  EXPECT_TRUE(noticed("recording again")) << all_notices();
  EXPECT_GT(durable, 0u);
  EXPECT_GT(outcome.policy_steps, 20u);
  const Story story = close_and_read();
  EXPECT_TRUE(story.whole);
  const auto lost = story.all<StepsLost>();
  ASSERT_EQ(lost.size(), 1u);
  std::size_t recorded = 0;
  for (const Step& step : story.steps) recorded += step.episode == outcome.episode ? 1 : 0;
  EXPECT_EQ(recorded + lost[0].count, outcome.policy_steps);
  EXPECT_GT(recorded, 0u);
}

TEST_F(FullDiskDeploymentTest, NothingIsAcknowledgedThatACrashWouldLose) {
  open_on_faulty_disk();
  files_.plan({.at = calls_ / 2, .for_good = true, .no_space = true});
  const EpisodeOutcome outcome = run(start_);
  EXPECT_GT(outcome.policy_steps, 20u) << "the robot works on";
  EXPECT_TRUE(noticed("NOT RECORDING"));
  EXPECT_FALSE(noticed("recording again"));
  const Sequence durable = deployment_->log_stats().durable;
  EXPECT_LT(durable, deployment_->log_stats().appended);
  EXPECT_EQ(deployment_->run_episode(2).status().code(), Code::kResourceExhausted)
      << "no new episode without a log";
  deployment_.reset();  // the crash

  files_.plan({});
  open();
  const Story story = close_and_read();
  EXPECT_TRUE(story.whole);
  for (const Step& step : story.steps) {
    EXPECT_LE(step.sequence, durable) << "nothing came back that was never promised";
  }
}

}  // namespace
}  // namespace nudge
