#include "src/loop/recorder.h"

#include <gtest/gtest.h>

#include <set>

#include "src/loop/controller.h"
#include "test/support/fake_robot.h"
#include "test/support/faulty_files.h"
#include "test/support/small_policy.h"
#include "test/support/temp_folder.h"

namespace nudge {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(20);
constexpr int kTicksOfAStep = 5;
const Actor kAnna = {.name = "anna", .role = Role::kSupervisor};
const Actor kSelf = {.name = "nudge", .role = Role::kScript};

// A real controller and a real log; only the robot and, where a test says so, the disk are made up.
class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest() : files_(posix_files()) {}

  void SetUp() override {
    open_log(/*max_pending_step_bytes=*/64u << 20);
    ControllerOptions options = test::small_controller(robot_.spec());
    options.limits.max_step = {2.0, 2.0};
    auto controller = Controller::make(robot_, options);
    ASSERT_TRUE(controller.ok()) << controller.status().message();
    controller_ = *std::move(controller);
  }

  void open_log(std::size_t max_pending_step_bytes) {
    recorder_.reset();
    log_.reset();
    LogOptions options;
    options.dir = folder_ / "log";
    options.boot = "boot-1";
    options.ballast_bytes = 4096;
    options.max_pending_step_bytes = max_pending_step_bytes;
    auto log = Log::open(files_, options);
    ASSERT_TRUE(log.ok()) << log.status().message();
    log_ = *std::move(log);
    recorder_.emplace(*log_, "boot-1", kSelf);
  }

  Moment moment() const {
    return {.now = robot_.now,
            .wall = WallTime(robot_.now.time_since_epoch()),
            .control_tick = controller_->control_tick(),
            .policy_step = controller_->policy_step(),
            .weights = 1};
  }

  void begin() {
    SegmentSpec segment;
    segment.feature_size = 1;
    segment.proprioception_size = 1;
    segment.action_size = 2;
    const auto episode = recorder_->begin_episode(
        {.purpose = EpisodePurpose::kDeployment, .seed = 1, .instruction = "do it"}, segment,
        moment());
    ASSERT_TRUE(episode.ok()) << episode.status().message();
    episode_ = *episode;
    controller_->begin_episode(episode_, robot_.now);
  }
  void end() {
    ASSERT_TRUE(
        recorder_->end_episode(EpisodeEnd::kTaskDone, controller_->policy_step(), moment()).ok());
  }

  TickOutcome tick(std::vector<AuthorityAct> acts = {}, const SentJog* jog = nullptr) {
    robot_.now += kTick;
    if (controller_->player().needs_chunk(robot_.now)) {
      ActionChunk chunk;
      chunk.horizon = 8;
      chunk.action_size = 2;
      chunk.version = 1;
      chunk.observed = robot_.now;
      chunk.actions.assign(16, 0.5f);
      (void)controller_->player().load(std::move(chunk), robot_.now);
    }
    acts_ = std::move(acts);
    ControlInputs inputs;
    inputs.acts = acts_;
    inputs.jog = jog;
    const TickOutcome outcome = controller_->tick(robot_.now, WallTime{}, inputs);
    const Actor driver = outcome.decision->lease.holder.value_or(kSelf);
    const Status status = recorder_->on_tick(outcome, {0.25f}, {}, driver, moment());
    EXPECT_TRUE(status.ok()) << status.message();
    return outcome;
  }
  AuthorityAct act(decltype(AuthorityAct::body) body) {
    return {.id = "act:" + std::to_string(++act_), .actor = kAnna, .body = std::move(body)};
  }
  TickOutcome jog() {
    SentJog sent{.actor = kAnna, .command = {}};
    sent.command.robot = robot_.spec().id;
    sent.command.epoch = controller_->authority().lease().epoch;
    sent.command.sequence = ++jog_;
    sent.command.echoed_tick = controller_->control_tick();
    sent.command.dead_man = true;
    sent.command.action = {0.3f, -0.3f};
    return tick({}, &sent);
  }
  void start_policy() {
    tick({act(HandBack{})});
    for (int i = 0; i < 10 && state() != AuthorityState::kAuto; ++i) tick();
    ASSERT_EQ(state(), AuthorityState::kAuto);
  }
  void take_over() {
    tick({act(TakeoverRequest{})});
    for (int i = 0; i < 10 && state() != AuthorityState::kHuman; ++i) jog();
    ASSERT_EQ(state(), AuthorityState::kHuman);
  }
  AuthorityState state() const { return controller_->authority().state(); }

  void commit() { ASSERT_TRUE(recorder_->commit().ok()); }
  std::vector<Event> events(const std::vector<std::string>& kinds) {
    const auto events = log_->events(kinds, 1, 10'000);
    EXPECT_TRUE(events.ok()) << events.status().message();
    return events.ok() ? *events : std::vector<Event>{};
  }
  std::vector<Step> steps() {
    const auto map = SegmentMap::open(posix_files(), log_->episodes(episode_, 1)->front().path);
    EXPECT_TRUE(map.ok()) << map.status().message();
    std::vector<Step> steps;
    const auto scanned = (*map)->scan((*map)->first(), log_->episodes(episode_, 1)->front().bytes,
                                      SegmentMap::Check::kCrc, [&](const StepView& view) {
                                        steps.push_back(*(*map)->decode(view.offset));
                                        return true;
                                      });
    EXPECT_TRUE(scanned.ok()) << scanned.message();
    return steps;
  }
  SpanClosed only_span_closed() {
    const auto closed = events({"span_closed"});
    EXPECT_EQ(closed.size(), 1u);
    return closed.empty() ? SpanClosed{} : std::get<SpanClosed>(closed.front().payload);
  }

  test::TempFolder folder_;
  test::FaultyFiles files_;
  FakeRobot robot_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<Log> log_;
  std::optional<Recorder> recorder_;
  EpisodeId episode_ = 0;
  std::vector<AuthorityAct> acts_;
  int act_ = 0;
  std::uint64_t jog_ = 0;
};

TEST_F(RecorderTest, ASpanCoversExactlyTheStepsThatThePersonDrove) {
  begin();
  start_policy();
  for (int i = 0; i < 12; ++i) tick();
  take_over();
  for (int i = 0; i < 14; ++i) jog();
  tick({act(HandBack{})});
  for (int i = 0; i < 10; ++i) tick();
  end();
  commit();

  const auto opened = events({"span_opened"});
  ASSERT_EQ(opened.size(), 1u);
  const auto span = std::get<SpanOpened>(opened.front().payload);
  const SpanClosed closed = only_span_closed();
  EXPECT_EQ(closed.span, span.span);
  EXPECT_EQ(closed.reason, SpanEnd::kReleased);
  EXPECT_TRUE(closed.complete);
  int driven = 0;
  for (const Step& step : steps()) {
    const bool inside = step.policy_step >= span.first_step && step.policy_step <= closed.last_step;
    EXPECT_EQ(step.source == ControlSource::kHuman, inside) << step.policy_step;
    EXPECT_EQ(step.span, inside ? span.span : 0u) << step.policy_step;
    driven += inside ? 1 : 0;
  }
  EXPECT_GE(driven, 3);
}

TEST_F(RecorderTest, ASpanIsMarkedWithItsDriverAndItsLease) {
  begin();
  start_policy();
  take_over();
  const LeaseEpoch epoch = controller_->authority().lease().epoch;
  tick({act(Release{})});
  end();
  commit();
  const auto opened = events({"span_opened"});
  ASSERT_EQ(opened.size(), 1u);
  EXPECT_EQ(opened.front().actor, kAnna);
  EXPECT_EQ(std::get<SpanOpened>(opened.front().payload).epoch, epoch);
  EXPECT_EQ(events({"span_closed"}).front().actor, kAnna);
}

TEST_F(RecorderTest, AChangeOfControlLeavesAShortStepAndMixesNoTwoSources) {
  begin();
  start_policy();
  for (int i = 0; i < 7; ++i) tick();  // in the middle of a step
  take_over();
  for (int i = 0; i < 12; ++i) jog();
  end();
  commit();
  int short_steps = 0;
  std::uint32_t expected = 0;
  for (const Step& step : steps()) {
    EXPECT_EQ(step.policy_step, expected++);
    if ((step.flags & kStepShort) != 0) ++short_steps;
  }
  EXPECT_GE(short_steps, 1);
}

TEST_F(RecorderTest, StepsAfterTheLastFreshCommandAreNotPartOfALostSpan) {
  begin();
  start_policy();
  take_over();
  for (int i = 0; i < 3 * kTicksOfAStep; ++i) jog();
  const std::uint32_t last_fresh = controller_->policy_step();
  // Silence: the link is gone. The robot goes on by the last command until that is stale.
  while (state() == AuthorityState::kHuman) tick();
  for (int i = 0; i < 12; ++i) tick();
  end();
  commit();
  const SpanClosed closed = only_span_closed();
  EXPECT_EQ(closed.reason, SpanEnd::kLinkLost);
  EXPECT_EQ(closed.last_step, last_fresh);
  std::uint32_t last_human = 0;
  for (const Step& step : steps()) {
    if (step.source == ControlSource::kHuman) last_human = step.policy_step;
  }
  EXPECT_GT(last_human, closed.last_step) << "nothing was cut off";
}

TEST_F(RecorderTest, TheEndOfAnEpisodeClosesItsSpan) {
  begin();
  start_policy();
  take_over();
  for (int i = 0; i < 10; ++i) jog();
  EXPECT_NE(recorder_->open_span(), 0u);
  end();
  EXPECT_EQ(recorder_->open_span(), 0u);
  EXPECT_TRUE(recorder_->take_span_closed());
  EXPECT_FALSE(recorder_->take_span_closed()) << "told once only";
  commit();
  EXPECT_EQ(only_span_closed().reason, SpanEnd::kEpisodeEnded);
}

TEST_F(RecorderTest, EntriesStandInTheOrderInWhichTheyHappened) {
  begin();
  start_policy();
  take_over();
  for (int i = 0; i < 10; ++i) jog();
  tick({act(Release{})});
  end();
  commit();
  const auto feed = log_->feed(1, 10'000);
  ASSERT_TRUE(feed.ok());
  Sequence next = 1;
  Sequence opened = 0, closed = 0, handed_over = 0;
  for (const FeedItem& item : *feed) {
    EXPECT_EQ(first_sequence(item), next);
    next = last_sequence(item) + 1;
    const auto* event = std::get_if<Event>(&item);
    if (event == nullptr) continue;
    if (std::holds_alternative<SpanOpened>(event->payload)) opened = event->sequence;
    if (std::holds_alternative<SpanClosed>(event->payload)) closed = event->sequence;
    if (const auto* change = std::get_if<AuthorityChanged>(&event->payload)) {
      if (change->from == AuthorityState::kHuman) handed_over = event->sequence;
    }
  }
  for (const Step& step : steps()) {
    if (step.span == 0) continue;
    EXPECT_GT(step.sequence, opened);
    EXPECT_LT(step.sequence, closed);
  }
  EXPECT_LT(closed, handed_over) << "the span ends before the reason is told";
  EXPECT_TRUE(std::holds_alternative<EpisodeEnded>(std::get<Event>(feed->back()).payload));
}

TEST_F(RecorderTest, EveryEventHasAnIdOfItsOwn) {
  begin();
  start_policy();
  take_over();
  tick({act(HandBack{})});
  end();
  begin();
  start_policy();
  end();
  commit();
  std::set<std::string> ids;
  const auto all = events({});
  for (const Event& event : all) ids.insert(event.id);
  EXPECT_EQ(ids.size(), all.size());
  EXPECT_EQ(log_->stats().repeated_events, 0u);
}

TEST_F(RecorderTest, AnActIsLoggedUnderTheIdThatItsSenderWaitsFor) {
  begin();
  start_policy();
  const AuthorityAct asked = act(TakeoverRequest{});
  tick({asked});
  commit();
  EXPECT_TRUE(log_->event(asked.id).ok());
}

// ---- the disk is full --------------------------------------------------------------------------

class FullDiskTest : public RecorderTest {
 protected:
  void fill_disk() {
    files_.plan({.at = 1, .for_good = true, .no_space = true});
    EXPECT_EQ(recorder_->commit().code(), Code::kResourceExhausted);
    EXPECT_FALSE(log_->stats().recording);
  }
  void free_disk() {
    files_.plan({});
    commit();
    EXPECT_TRUE(log_->stats().recording);
  }
};

TEST_F(FullDiskTest, LostStepsAreCountedAndReportedOnce) {
  begin();
  start_policy();
  for (int i = 0; i < 20; ++i) tick();
  fill_disk();
  const std::uint32_t first_lost = controller_->policy_step();
  for (int i = 0; i < 4 * kTicksOfAStep; ++i) tick();
  free_disk();
  for (int i = 0; i < 4 * kTicksOfAStep; ++i) tick();
  end();
  commit();

  const auto lost = events({"steps_lost"});
  ASSERT_EQ(lost.size(), 1u);
  const auto report = std::get<StepsLost>(lost.front().payload);
  EXPECT_EQ(report.first_step, first_lost);
  EXPECT_EQ(report.count, 4u);
  EXPECT_FALSE(report.human);
  std::set<std::uint32_t> kept;
  for (const Step& step : steps()) kept.insert(step.policy_step);
  for (std::uint32_t step = 0; step < controller_->policy_step(); ++step) {
    const bool is_lost = step >= first_lost && step < first_lost + 4;
    EXPECT_EQ(kept.contains(step), !is_lost) << step;
  }
}

TEST_F(RecorderTest, ANudgeIsASpanOfItsOwnLinkedToItsWords) {
  begin();
  start_policy();
  for (int i = 0; i < 12; ++i) tick();
  const auto say = [&](const std::string& words, float rate) {
    return AuthorityAct{.id = words,
                        .actor = kAnna,
                        .body = NudgeBias{{rate, 0}, std::chrono::milliseconds(600), words},
                        .logged_elsewhere = true};
  };
  tick({say("first", 0.2f)});
  for (int i = 0; i < 14; ++i) tick();
  tick({say("second", -0.2f)});  // takes the place of the first
  for (int i = 0; i < 60; ++i) tick();
  end();
  commit();
  const auto opened = events({"span_opened"});
  const auto acted = events({"words_acted"});
  const auto closed = events({"span_closed"});
  ASSERT_EQ(opened.size(), 2u);
  ASSERT_EQ(acted.size(), 2u);
  ASSERT_EQ(closed.size(), 2u);
  EXPECT_FALSE(recorder_->take_span_closed()) << "no correction";
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& span = std::get<SpanOpened>(opened[i].payload);
    EXPECT_EQ(span.kind, SpanKind::kNudge);
    EXPECT_EQ(opened[i].actor, kAnna);
    EXPECT_EQ(std::get<WordsActed>(acted[i].payload).span, span.span);
    EXPECT_EQ(std::get<WordsActed>(acted[i].payload).words, i == 0 ? "first" : "second");
    const auto& end_of_span = std::get<SpanClosed>(closed[i].payload);
    EXPECT_EQ(end_of_span.reason, SpanEnd::kReleased);
    for (const Step& step : steps()) {
      const bool inside =
          step.policy_step >= span.first_step && step.policy_step <= end_of_span.last_step;
      EXPECT_EQ(step.span == span.span, inside) << step.policy_step;
      EXPECT_EQ(step.source == ControlSource::kNudge && step.span == span.span, inside);
    }
  }
}

TEST_F(RecorderTest, StepsOfASlowedPolicyAreMarked) {
  begin();
  start_policy();
  for (int i = 0; i < 10; ++i) tick();
  tick({act(SpeedChange{.absolute = true, .scale = 0.5})});
  for (int i = 0; i < 20; ++i) tick();
  end();
  commit();
  std::size_t slowed = 0, whole = 0;
  for (const Step& step : steps()) {
    if (step.source != ControlSource::kPolicy) continue;
    (step.flags & kStepSlowed ? slowed : whole) += 1;
  }
  EXPECT_GE(slowed, 3u);
  EXPECT_GE(whole, 1u);
}

TEST_F(FullDiskTest, ASpanThatLostStepsIsIncomplete) {
  begin();
  start_policy();
  take_over();
  for (int i = 0; i < 10; ++i) jog();
  fill_disk();
  for (int i = 0; i < 2 * kTicksOfAStep; ++i) jog();
  free_disk();
  for (int i = 0; i < 10; ++i) jog();
  tick({act(Release{})});
  end();
  commit();
  EXPECT_FALSE(only_span_closed().complete);
  const auto lost = events({"steps_lost"});
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_TRUE(std::get<StepsLost>(lost.front().payload).human);
}

TEST_F(FullDiskTest, StepsLostUntilTheEndOfAnEpisodeAreReportedInThatEpisode) {
  begin();
  start_policy();
  for (int i = 0; i < 10; ++i) tick();
  fill_disk();
  for (int i = 0; i < 2 * kTicksOfAStep; ++i) tick();
  end();  // and the disk is still full
  const EpisodeId episode = episode_;
  free_disk();
  begin();
  start_policy();
  for (int i = 0; i < 10; ++i) tick();
  end();
  commit();
  const auto lost = events({"steps_lost"});
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost.front().episode, episode);
}

TEST_F(FullDiskTest, NothingIsDurableThatWaitsForTheDisk) {
  begin();
  start_policy();
  for (int i = 0; i < 10; ++i) tick();
  commit();
  const Sequence durable = log_->durable();
  for (int i = 0; i < 10; ++i) tick();
  fill_disk();
  const AuthorityAct asked = act(TakeoverRequest{});
  tick({asked});
  EXPECT_FALSE(recorder_->commit().ok());
  EXPECT_EQ(log_->durable(), durable);
  EXPECT_FALSE(log_->event(asked.id).ok());
  free_disk();
  EXPECT_TRUE(log_->event(asked.id).ok());
}

TEST_F(FullDiskTest, StepsBeyondWhatMayWaitAreLostAndCounted) {
  open_log(/*max_pending_step_bytes=*/1000);
  begin();
  start_policy();
  for (int i = 0; i < 20 * kTicksOfAStep; ++i) tick();  // and nobody commits
  commit();
  for (int i = 0; i < 2 * kTicksOfAStep; ++i) tick();
  end();
  commit();
  std::uint32_t lost = 0;
  for (const Event& event : events({"steps_lost"})) {
    lost += std::get<StepsLost>(event.payload).count;
  }
  EXPECT_GT(lost, 0u);
  // The step that the end of this short test cut off was never finished.
  EXPECT_EQ(lost + steps().size(), controller_->policy_step());
}

}  // namespace
}  // namespace nudge
