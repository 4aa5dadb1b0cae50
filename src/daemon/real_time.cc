#include "src/daemon/real_time.h"

#include <time.h>

#include <memory>
#include <thread>

#include "src/daemon/inference_thread.h"
#include "src/daemon/step_thread.h"
#include "src/daemon/writer_thread.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/perception.h"
#include "src/loop/reference_sources.h"
#include "src/loop/state_folder.h"
#include "src/loop/state_log.h"

namespace nudge {
namespace {

const Actor kOperator = {.name = "operator", .role = Role::kEngineer};
const Actor kSelf = {.name = "nudge", .role = Role::kScript};
// Between looks at what the threads did; none of them waits for it.
constexpr Duration kLook = std::chrono::milliseconds(5);

Duration process_cpu_time() {
  timespec spent{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

// Stands for everybody at the other end of the links: swaps the heads in turn, starts the policy
// whenever the robot holds, and reads what io and gate would.
class OtherEnds {
 public:
  OtherEnds(Links& links, const std::vector<LoadedHead>& heads, Duration swap_every)
      : links_(links), heads_(heads), swap_every_(swap_every) {
    links_.heads.publish(heads_.front());
  }

  void look(Instant now) {
    if (std::optional<Snapshot> newest = links_.snapshot.try_take()) {
      snapshot_ = *std::move(newest);
      start_policy(now);
    }
    links_.gate.try_take_all(news_);
    for (const GateItem& item : news_) {
      if (const auto* tick = std::get_if<TickNews>(&item)) count(*tick);
    }
    links_.notices.try_take_all(notices_);
    if (swap_every_ > Duration::zero() && now - swapped_ >= swap_every_) {
      swapped_ = now;
      links_.heads.publish(heads_[++report_.swaps % heads_.size()]);
    }
    links_.heads.collect();
  }

  RealTimeReport report() const {
    RealTimeReport report = report_;
    report.ticks = snapshot_.tick;
    report.missed = snapshot_.missed_ticks;
    report.lost_steps = snapshot_.lost_steps;
    report.work = snapshot_.work;
    report.late = snapshot_.late;
    return report;
  }

 private:
  void start_policy(Instant now) {
    // An act is decided within a tick or two; asking again sooner would only be refused.
    if (now - asked_ < std::chrono::milliseconds(100)) return;
    asked_ = now;
    const std::string id = "start:" + std::to_string(now.time_since_epoch().count());
    if (snapshot_.state == AuthorityState::kFaultHold) {
      (void)links_.acts.try_push({.id = id + ":fault", .actor = kOperator, .body = ResetFault{}});
    }
    if (snapshot_.state == AuthorityState::kHold) {
      (void)links_.acts.try_push({.id = id, .actor = kOperator, .body = HandBack{}});
    }
  }

  void count(const TickNews& tick) {
    if (tick.chunk && tick.chunk->taken.ok()) ++report_.chunks;
    if (tick.played == 0 || tick.played == playing_) return;
    playing_ = tick.played;
    ++report_.versions_played;
  }

  Links& links_;
  const std::vector<LoadedHead>& heads_;
  Duration swap_every_;
  Instant swapped_ = steady_now(), asked_{};
  Snapshot snapshot_;
  WeightsVersion playing_ = 0;
  std::vector<GateItem> news_;
  std::vector<WriterNotice> notices_;
  RealTimeReport report_;
};

}  // namespace

Result<RealTimeReport> run_in_real_time(Robot& robot, const Config& config,
                                        const std::vector<LoadedHead>& heads,
                                        const RealTimeOptions& options) {
  if (heads.empty()) return invalid_argument("there are no weights to run in real time");
  const RobotSpec& spec = robot.spec();
  NUDGE_TRY(make_state_folder(options.folder));
  const WallTime wall = wall_now();
  const std::string boot = new_boot_id(wall);
  Result<std::unique_ptr<Log>> log =
      open_state_log(posix_files(), options.folder,
                     state_log_options(options.folder, config, boot, steady_now(), wall));
  if (!log.ok()) return log.status();
  Result<StopLatch> latch = StopLatch::open(posix_files(), options.folder + "/stop.latch");
  if (!latch.ok()) return latch.status();
  Result<std::unique_ptr<Backbone>> backbone = make_backbone(config, spec.observation);
  if (!backbone.ok()) return backbone.status();
  const PolicyShape shape = policy_shape(config, spec, **backbone);
  Result<ReferenceOptions> references = reference_options(config, spec);
  if (!references.ok()) return references.status();
  Result<std::unique_ptr<Controller>> controller =
      Controller::make(robot, controller_options(config, spec, {}));
  if (!controller.ok()) return controller.status();

  Links links;
  OtherEnds others(links, heads, options.swap_every);
  Status trouble;
  InferenceThread inference(
      std::make_unique<Inference>(*std::move(backbone), options.seed, *std::move(references),
                                  config.policy.guidance),
      links,
      [&trouble](const std::string& message) {
        if (trouble.ok()) trouble = internal(message);
      },
      doubt_options(config));
  WriterThreadOptions writing;
  writing.clock = steady_now;
  writing.wall = wall_now;
  writing.boot = boot;
  writing.self = kSelf;
  writing.segment = segment_spec(spec, shape);
  WriterThread writer(
      **log, *std::move(latch), nullptr, links, std::move(writing),
      [](LogLevel, std::string_view, const std::string&) {}, [] {});
  StepThreadOptions stepping;
  stepping.clock = steady_now;
  stepping.wall = wall_now;
  stepping.next_episode = (*log)->next_episode_id();
  stepping.seed = options.seed;
  stepping.episode_steps = static_cast<std::uint32_t>(config.robot.episode_steps);
  stepping.fifo_priority = static_cast<int>(config.daemon.fifo_priority);
  if (config.help.ask) stepping.help = help_signal_options(config, spec);
  StepThread step(robot, *std::move(controller), links, std::move(stepping));

  writer.start();
  inference.start();
  const Duration cpu = process_cpu_time();
  (void)step.start();  // without the priority it asked for it runs all the same
  const Instant end = steady_now() + options.length;
  while (steady_now() < end) {
    std::this_thread::sleep_for(kLook);
    others.look(steady_now());
  }
  step.stop();
  const Duration spent = process_cpu_time() - cpu;
  inference.stop();
  links.writer.close();
  writer.stop();
  others.look(steady_now());
  NUDGE_TRY(trouble);
  RealTimeReport report = others.report();
  report.cpu = spent;
  report.logged = (*log)->durable();
  return report;
}

}  // namespace nudge
