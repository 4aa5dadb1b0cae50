#include "src/loop/real_time.h"

#include <atomic>
#include <thread>

#include "src/handoff/latest.h"
#include "src/learning/settings.h"
#include "src/loop/clock.h"
#include "src/loop/controller.h"
#include "src/loop/evaluation.h"

namespace nudge {
namespace {

constexpr Duration kInferencePatience = std::chrono::milliseconds(20);
const Actor kOperator = {.name = "operator", .role = Role::kEngineer};

void sleep_until(Instant due) {
  std::this_thread::sleep_until(std::chrono::steady_clock::time_point(due.time_since_epoch()));
}

// The inference thread: newest observation in, chunk out.
class InferenceThread {
 public:
  InferenceThread(Inference& inference, SwapSlot<LoadedHead>& slot, std::string instruction)
      : inference_(inference), slot_(slot), instruction_(std::move(instruction)) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  Latest<Observation> observations;
  Latest<ActionChunk> chunks;
  std::atomic<std::uint64_t> computed{0};
  Status status() const { return status_; }  // after stop()

 private:
  void run() {
    while (!stop_) {
      const std::optional<Observation> observation = observations.take(kInferencePatience);
      inference_.take_from(slot_);
      if (!observation || !is_finite(*observation) || inference_.version() == 0) continue;
      Result<std::vector<float>> features = inference_.encode(*observation, instruction_);
      if (!features.ok()) {
        status_ = features.status();
        return;
      }
      Result<ActionChunk> chunk =
          inference_.infer(*features, observation->proprioception, observation->time);
      if (!chunk.ok()) {
        status_ = chunk.status();
        return;
      }
      ++computed;
      chunks.put(*std::move(chunk));
    }
  }

  Inference& inference_;
  SwapSlot<LoadedHead>& slot_;
  std::string instruction_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
  Status status_;
};

// Stands for the gate thread: offers another head at a steady pace.
class SwappingThread {
 public:
  SwappingThread(SwapSlot<LoadedHead>& slot, const std::vector<LoadedHead>& heads, Duration every)
      : slot_(slot), heads_(heads), every_(every) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::atomic<std::uint64_t> swaps{0};

 private:
  void run() {
    for (std::size_t next = 0; !stop_; ++next) {
      slot_.publish(heads_[next % heads_.size()]);
      ++swaps;
      std::this_thread::sleep_for(every_);
      slot_.collect();
    }
  }

  SwapSlot<LoadedHead>& slot_;
  const std::vector<LoadedHead>& heads_;
  Duration every_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

Result<RealTimeReport> run_in_real_time(const Config& config, const std::vector<LoadedHead>& heads,
                                        const RealTimeOptions& options) {
  if (heads.empty()) return invalid_argument("there are no weights to run in real time");
  KitchenOptions kitchen = kitchen_options(config);
  kitchen.cameras = false;
  Result<std::unique_ptr<KitchenRobot>> robot = KitchenRobot::create(kitchen);
  if (!robot.ok()) return robot.status();
  const RobotSpec& spec = (*robot)->spec();
  Result<std::unique_ptr<Backbone>> backbone = make_state_backbone(spec.observation);
  if (!backbone.ok()) return backbone.status();
  Result<std::unique_ptr<Controller>> controller =
      Controller::make(**robot, controller_options(config, spec, {}));
  if (!controller.ok()) return controller.status();
  SwapSlot<LoadedHead> slot;
  Inference inference(*std::move(backbone), options.seed);
  InferenceThread inference_thread(inference, slot, kKitchenInstruction);
  SwappingThread swapping_thread(slot, heads, options.swap_every);

  RealTimeReport report;
  const auto expected = static_cast<std::size_t>(options.length / spec.control_period);
  report.work_seconds.reserve(expected);
  report.late_seconds.reserve(expected);
  Status trouble = (*robot)->reset(options.seed);
  std::uint64_t episode = 1;
  (*controller)->begin_episode(episode, (*robot)->now());
  inference_thread.start();
  swapping_thread.start();

  WeightsVersion playing = 0;
  std::vector<AuthorityAct> acts;
  Instant due = steady_now() + spec.control_period;
  for (std::size_t i = 0; i < expected && trouble.ok(); ++i, due += spec.control_period) {
    sleep_until(due);
    const Instant begin = steady_now();
    const Instant now = (*robot)->now();
    if (std::optional<ActionChunk> chunk = inference_thread.chunks.try_take()) {
      // Late or overtaken chunks are refused; the next one is asked for below.
      (void)(*controller)->player().load(*std::move(chunk), now);
    }
    acts.clear();
    if ((*controller)->authority().state() == AuthorityState::kHold) {
      acts.push_back({.id = "start:" + std::to_string(i), .actor = kOperator, .body = HandBack{}});
    }
    const TickOutcome outcome = (*controller)->tick(now, wall_now(), {.acts = acts});
    if ((*robot)->now() == now) trouble = (*robot)->advance();
    if (outcome.played != 0 && outcome.played != playing) {
      playing = outcome.played;
      ++report.versions_played;
    }
    // Asking at every tick keeps the newest weights acting within a tick of their arrival.
    inference_thread.observations.put((*controller)->observation());
    if ((*controller)->observation().success) {
      // The block is up: the next start. A reset is instant here, and not a part of the tick's
      // work.
      trouble = (*robot)->reset(options.seed + ++episode);
      (*controller)->begin_episode(episode, (*robot)->now());
    }
    const Instant end = steady_now();
    ++report.ticks;
    if (end > due + spec.control_period) ++report.missed;
    report.work_seconds.push_back(seconds(end - begin));
    report.late_seconds.push_back(seconds(begin - due));
  }
  swapping_thread.stop();
  inference_thread.stop();
  NUDGE_TRY(trouble);
  NUDGE_TRY(inference_thread.status());
  report.swaps = swapping_thread.swaps;
  report.chunks = inference_thread.computed;
  return report;
}

}  // namespace nudge
