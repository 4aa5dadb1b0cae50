// One boot of the daemon in a simulated world: its own parts (authority, broker, recorder, log, the
// links and the swap slot) with the disk, the robot, inference and the gate at the far side.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nudge/robot.h"
#include "replay/log.h"
#include "src/daemon/front_desk.h"
#include "src/daemon/step_thread.h"
#include "src/daemon/stop_latch.h"
#include "src/daemon/writer_thread.h"
#include "src/loop/state_folder.h"
#include "test/daemon/world/timeline.h"
#include "test/support/small_policy.h"

namespace nudge::test {

inline constexpr Duration kTick = std::chrono::milliseconds(20);
inline constexpr Duration kPolicyPeriod = std::chrono::milliseconds(100);

// What weights of this version always propose, on both channels: an action tells its version.
inline float rate_of(WeightsVersion version) {
  return 0.05f + 0.01f * static_cast<float>(version % 60);
}

// The arm. It outlives boots; only one who is asked moves it.
class SimulatedArm final : public Robot {
 public:
  explicit SimulatedArm(Timeline& time) : time_(time) {
    spec_.id = "arm";
    spec_.control_period = kTick;
    spec_.policy_period = kPolicyPeriod;
    spec_.observation.proprioception = {{"x", "m", -1, 1}};
    spec_.observation.object_state = {{"target", "m", -1, 1}};
    spec_.action.channels = {{"x", "m/s", -0.25f, 0.25f}, {"y", "m/s", -0.25f, 0.25f}};
  }

  const RobotSpec& spec() const override { return spec_; }
  Status reset(std::uint64_t) override {
    applied.reset();  // it moves itself
    success_at_ = time_.now() + time_.between(2'000'000, 20'000'000);
    reset_until_ = time_.chance(0.3) ? time_.now() + time_.between(0, 1'500'000) : Instant::min();
    reset_fails_ = time_.chance(0.05);
    return time_.chance(0.03) ? unavailable("the arm does not reset") : Status();
  }
  bool resetting() override { return Timeline::now() < reset_until_; }
  Status reset_result() override {
    return reset_fails_ ? unavailable("the arm is stuck") : Status();
  }
  Result<Observation> observe() override {
    if (Timeline::now() < silent_until) return unavailable("the arm does not answer");
    Observation observation;
    observation.time = Timeline::now();
    observation.proprioception = {0.25f};
    observation.object_state = {0.5f};
    observation.success = Timeline::now() >= success_at_;
    return observation;
  }
  Status apply(const Action& action, Instant) override {
    applied = action;
    return {};
  }
  void hold() override { applied.reset(); }
  void estop() override {
    applied.reset();
    ++estops;
  }
  Status reset_estop() override {
    return time_.chance(0.2) ? unavailable("the arm is busy") : Status();
  }

  std::optional<Action> applied;  // since it was last told to hold
  std::uint64_t estops = 0;
  Instant silent_until = Instant::min();

 private:
  Timeline& time_;
  RobotSpec spec_;
  Instant reset_until_ = Instant::min();
  Instant success_at_ = Instant::max();
  bool reset_fails_ = false;
};

// "left" is a motion, besides the "stop" that every grammar must know.
inline Understood understand_left(const WordsMessage& words) {
  if (words.text != "left") return understand_only_stop(words);
  Understood understood;
  understood.use = WordsUse::kNudge;
  understood.understood_as = "move left";
  understood.motion =
      NudgeBias{.bias = {-0.2f, 0}, .length = std::chrono::milliseconds(700), .words = {}};
  return understood;
}

class Machine {
 public:
  // Null with `trouble` set: the daemon does not start, as on a disk that fails at that moment.
  static std::unique_ptr<Machine> boot(FileSystem& files, SimulatedArm& arm, int number,
                                       bool continuous, std::string& trouble) {
    auto machine = std::unique_ptr<Machine>(new Machine());
    const Status status = machine->open(files, arm, number, continuous);
    if (status.ok()) return machine;
    trouble = status.message();
    return nullptr;
  }

  Links links;
  std::unique_ptr<Log> log;
  std::unique_ptr<StepThread> step;
  std::unique_ptr<WriterThread> writer;
  std::unique_ptr<FrontDesk> desk;
  Snapshot snapshot;        // newest
  bool latched = false;     // at boot
  std::vector<Event> past;  // all that was durable at boot, in order

  // ---- inference, at the far side of the links ----
  std::vector<InferenceRequest> requests;  // being served
  WeightsVersion using_ = 0;

  // ---- the gate ----
  WeightsVersion live = 0;
  Sequence fed = 0;  // through here the gate has been told

 private:
  Machine() = default;

  Status open(FileSystem& files, SimulatedArm& arm, int number, bool continuous) {
    const std::string boot = "boot-" + std::to_string(number);
    LogOptions options;
    options.dir = "/state/log";
    options.boot = boot;
    options.now = Timeline::now();
    options.wall_now = Timeline::wall();
    options.segment_grow_bytes = 16u << 10;
    options.checkpoint_bytes = 64u << 10;
    options.ballast_bytes = 4096;
    Result<std::unique_ptr<Log>> opened = Log::open(files, options);
    if (!opened.ok()) return opened.status();
    log = *std::move(opened);
    if (!log->recovery().damaged.empty()) return data_loss(log->recovery().damaged.front());
    Result<StopLatch> latch = StopLatch::open(files, "/state/stop.latch");
    if (!latch.ok()) return latch.status();
    const Result<bool> stopped = stop_is_latched(*log);
    if (!stopped.ok()) return stopped.status();
    latched = *stopped || latch->latched();

    Past folded;
    Sequence next = 1;
    while (next <= log->durable()) {
      Result<std::vector<FeedItem>> items = log->feed(next, 1000);
      if (!items.ok()) return items.status();
      if (items->empty()) return data_loss("the log has no entry " + std::to_string(next));
      for (const FeedItem& item : *items) {
        std::visit([&](const auto& entry) { (void)folded.apply(entry); }, item);
        if (const auto* event = std::get_if<Event>(&item)) {
          past.push_back(*event);
        }
      }
      next = last_sequence(items->back()) + 1;
    }
    fed = log->durable();
    folded.newest_episode = log->next_episode_id() - 1;

    ControllerOptions control = small_controller(arm.spec());
    control.limits.max_step = {2.0, 2.0};
    control.boot = {.stop_latched = latched, .last_epoch = log->next_lease_epoch() - 1};
    Result<std::unique_ptr<Controller>> controller = Controller::make(arm, control);
    if (!controller.ok()) return controller.status();
    StepThreadOptions steps;
    steps.clock = Timeline::now;
    steps.wall = Timeline::wall;
    steps.instruction = "lift";
    steps.next_episode = log->next_episode_id();
    steps.seed = static_cast<std::uint64_t>(number);
    steps.episode_steps = 60;
    steps.continuous = continuous;
    steps.abandon = std::chrono::seconds(5);
    step = std::make_unique<StepThread>(arm, *std::move(controller), links, steps);

    WriterThreadOptions writing;
    writing.clock = Timeline::now;
    writing.wall = Timeline::wall;
    writing.boot = boot;
    writing.self = {.name = "nudge", .role = Role::kScript};
    writing.segment.feature_size = 1;
    writing.segment.proprioception_size = 1;
    writing.segment.action_size = 2;
    writing.fed = fed;
    (void)links.writer.push_reserved(WriterItem(RecordWanted{
        .payload = Booted{.program = "nudge", .robot = "arm"}, .actor = std::nullopt, .id = ""}));
    writer = std::make_unique<WriterThread>(
        *log, *std::move(latch), nullptr, links, std::move(writing),
        [](LogLevel, std::string_view, const std::string&) {}, [] {});

    DeskInfo info;
    info.robot = arm.spec();
    info.program = "nudge";
    info.boot = boot;
    info.fresh = std::chrono::milliseconds(200);
    Result<std::unique_ptr<FrontDesk>> made = FrontDesk::make(
        arm, links, loop_, std::move(info), std::move(folded), understand_left, Timeline::now);
    if (!made.ok()) return made.status();
    desk = *std::move(made);
    return {};
  }

  EventLoop loop_;  // never runs: the timeline calls the desk
};

}  // namespace nudge::test
